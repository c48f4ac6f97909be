# A machine that the script makes is not in `machines`.
# vms: machine=tiny
# env: START={machine}

start = os.environ["START"]
assert create_machine(start).name == "machine"
extra = create_machine(f"QEMU_KERNEL_PARAMS=mine {start} -smp 2", name="extra")
assert extra.name == "extra" and machines == [machine] and extra.state_dir.name == "vm-state-extra"
assert extra.succeed("nproc; grep -c mine /proc/cmdline") == "2\n1\n"
#: extra: starting vm
extra.crash()
assert not machine.booted
