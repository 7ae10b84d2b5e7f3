#!/usr/bin/python3
"""server.py DIRECTORY [echo] - the servers of the tests, on ports of their own; certificates are in DIRECTORY,
made when they are not there. Prints "name port" lines, then "ready"; ends when its input does."""
import os
import sys

import certificates
import echo
import faults

directory = sys.argv[1]
if not os.path.exists(f'{directory}/ca.pem'):
    certificates.make(directory)
server, plain, tls, mutual = echo.start(directory)
ports = {'echo': plain, 'echo-tls': tls, 'echo-mutual': mutual}
if 'echo' not in sys.argv[2:]:
    ports.update(faults.start(directory))
for name, port in ports.items():
    print(name, port)
print('ready', flush=True)
sys.stdin.read()
os._exit(0)  # whatever its threads are at
