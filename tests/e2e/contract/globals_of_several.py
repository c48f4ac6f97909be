# The globals of a script, with two machines whose names are no Python names.
# vms: web-server=fake 1st.host=fake
# vlans: 7 3

assert type(web_server).__name__ == type(_st_host).__name__
assert (web_server.name, _st_host.name) == ("web-server", "1st.host")
assert "machine" not in globals()
assert sorted(one.name for one in machines) == ["1st.host", "web-server"]
assert machines is not None and set(machines) == {web_server, _st_host}
assert (int(vlan7.nr), int(vlan3.nr)) == (7, 3) and len(vlans) == 2 and {vlan3, vlan7} == set(vlans)
assert repr(vlan7) == "<Vlan Nr. 7>", repr(vlan7)
assert isinstance(vlan7.pid, int) and vlan7.socket_dir.name == "vde7.ctl"
assert os.environ["QEMU_VDE_SOCKET_7"] == str(vlan7.socket_dir) and vlan7.socket_dir.is_dir()
import os as module
assert os is module
for function in start_all, join_all, test_script, run_tests, create_machine, subtest, retry, polling_condition:
    assert callable(function)
assert serial_stdout_on() is None and serial_stdout_off() is None
assert driver.machines == machines and driver.vlans == vlans and driver.out_dir.is_dir()
assert driver.start_all == start_all and driver.test_script == test_script
symbols = driver.test_symbols()
assert {"start_all", "driver", "web_server", "_st_host", "vlan3"} <= set(symbols) and symbols["driver"] is driver


# All code of a script has the same globals: functions, classes and comprehensions see what the script defines.
def later():
    return web_server.name, defined_later


class Holder:
    name = web_server.name


defined_later = 7
assert later() == ("web-server", 7) and Holder.name == "web-server"
assert [web_server.name for _ in range(2)] == ["web-server"] * 2
try:
    raise ValueError
except ValueError as error:
    assert error.__traceback__.tb_frame.f_code.co_filename == "<string>"
