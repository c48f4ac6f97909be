"""Threads of a script that use the same machine. `make e2e-tsan` looks for data races while these tests run."""

import harness


def test_threads_use_one_machine(fake):
    result = harness.run("""
        import itertools, threading

        def repeat(calls):
            for _, call in zip(range(60), itertools.cycle(calls)):
                try:
                    call()
                except (test_driver.errors.MachineError, RuntimeError):
                    pass  # another thread may have ended or started the machine

        import test_driver.errors

        def set_directories():
            machine.state_dir, machine.shared_dir, machine.out_dir = machine.state_dir, machine.shared_dir, machine.out_dir
            machine.boot_timeout = machine.boot_timeout

        def step():
            with subtest("a step"):
                log.info(f"{machine.booted} {machine.pid} {machine.state_dir} {machine.get_console_log()[-10:]}")

        threads = [threading.Thread(target=repeat, args=(calls,)) for calls in (
            (machine.start, machine.crash),
            (machine.start, lambda: machine.execute("true")),
            (start_all, set_directories, lambda: machine.send_monitor_command("info status")),
            (step, lambda: machine.qmp_client and machine.qmp_client.send("query-status")),
        )]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        machine.succeed("true")
        print("done")
    """, fake)
    assert result.lines == ["done"]
