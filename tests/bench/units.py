# A guest with systemd: its boot, commands, and how long after a unit is active `wait_for_unit` returns. A
# unit becomes active when its process ends; at its end the process sends a datagram to this one (see
# waits.py), so the figure includes what systemd does in between.
import json
import os
import random
import socket
import statistics
import struct
import time

CALLS = 30
SAMPLES = 6
SO_TIMESTAMPNS = 35
machine = machines[0]
