#!/usr/bin/python3
"""hub.py - a management and signal server for tests, as NetBird's agents know them: accounts, setup keys, peers, maps,
messages from peer to peer, and every way in which a server can go wrong. On Debian's grpcio, protobuf and PyNaCl.

    tests/hub/hub.py --control /tmp/hub.sock --listen 127.0.0.1:33073 &
    export HUB=/tmp/hub.sock
    key=$(tests/hub/hubctl add-key reusable=false)           # a one-off setup key
    ... an agent registers with it at http://127.0.0.1:33073 ...
    tests/hub/hubctl wait peer=srv1                          # it has the newest map
    tests/hub/hubctl add-peer key=$(wg genkey | wg pubkey) hostname=srv2
    tests/hub/hubctl set lazy=true 'policies=[{"id": "web", "sources": ["All"], "destinations": ["srv1"],
        "protocol": "TCP", "ports": [80, 443]}]'
    tests/hub/hubctl fault method=Sync kind=fail code=UNAVAILABLE text=maintenance count=3
    tests/hub/hubctl requests method=Login last=1            # what it said, decoded and as plain bytes (hex)
    tests/hub/hubctl remove peer=srv1

It prints one line of JSON with its ports and its key when it listens. Port 0 is any free port. Everything is in memory;
with --state FILE what is known of accounts and peers outlives it, also when it is killed.

Accounts      info; add-account name= [SETTING=...]; set [account=] SETTING=...; get; serial serial=
              Settings: domain, network, network6 (fd00:6c::/64; "" is none), lazy, routing_dns, ssh, policies, routes,
              dns, checks, patch, fake_rules. The account is "main" where none is named.
  policies    {"id", "sources": [GROUP or LABEL], "destinations", "bidirectional", "action", "protocol", "ports": [80],
              "port_ranges": [[8000, 8080]], "any": true for rules from 0.0.0.0/0, "posture": true to leave out sources
              that fail `checks`}; at first one: All to All, both ways, everything.
  routes      {"id", "peer": LABEL, "network" or "domains": [], "groups", "metric", "masquerade", "keep", "skip_auto",
              "net_id", "ports": [first, last], "protocol"}
  dns         {"enabled": true, "zones": [CustomZone], "groups": [{"servers": ["192.0.2.1:53"], "primary", "domains",
              "search"}], "forwarder_port"}
  checks      lists of paths, one list for each Checks
  patch       fields of SyncResponse in JSON that take the place of what was made: {"NetworkMap": {"FirewallRules": []}}
              goes into messages, replaces lists and values; null clears.
Servers       services signal="host:port" signal_tls=false stuns=[] turns=[] relays=[] life_s= turn_user= ...
              life_s: of credentials; after 3/4 of it new ones are sent. Takes effect with the next complete message.
Setup keys    add-key [account= name= key= reusable=true limit=0 ttl=SECONDS ephemeral= extra_labels= groups=[]], prints
              it; keys; revoke-key key=; remove-key key=         (key: itself or its name)
Peers         peers [fake=true]; peer peer=; remove peer=; add-peer key= hostname= [version= MARK=...]; mark peer= MARK=...
              Marks: expired (offline for others), blocked, pending, other_owner, ephemeral, groups, labels, label.
              fake peers=5000 [rules=1000 first=0]: so many peers that nobody is, others from another number on, and rules.
              A peer is its label, FQDN, address or key.
Streams       push [peer=]: the map, now; push-raw [peer=] hex= or json= [times=]: this SyncResponse; patch peer= json=;
              map peer=; map-raw peer=; refresh [turn=true]: new credentials; end [peer=] [code= text=]
Signal        signal-peers: who is registered; signal-log [peer= last=]; signal-forget; signal-end [peer= code= text=];
              signal-push peer= hex= [times=]: these bytes as a message; signal-replay [peer= times=]: all that was ever sent
              to them; signal-deaf [on=false]: takes all, brings nothing; signal-restart [down=SECONDS].
              It has a port of its own, and is on those of the management server too. A peer is its key, or as above.
Jobs          job peer= hex= or json=; job-answers
Clients       requests [method= peer= last= since=]; count [method= peer=]; forget;
              wait peer= [timeout=]; wait method= [count= peer= timeout=]
Faults        fault method= kind= ...; list-faults; unfault [method=]; kinds and parameters are in faults.py.
              new-key [private=]: another server key at once; restart [down=SECONDS private=]: connections are cut too.
              Of messages from peer to peer: fault method=Send; of their streams: fault method=ConnectStream.
              What grpcio cannot do wrong (GOAWAY, RST_STREAM, half a frame, silence, slowness): fault_proxy.py.
              stop ends the hub.
"""
import argparse
import asyncio
import json
import os
import pathlib
import signal
import sys

sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
import grpc  # noqa: E402

import lines  # noqa: E402
from accounts import State  # noqa: E402
from control import Commands  # noqa: E402
from crypto import ServerKey  # noqa: E402
from exchange import Exchange  # noqa: E402
from faults import Faults  # noqa: E402
from netmap import Services  # noqa: E402
from service import Service  # noqa: E402


def parse_arguments():
    parser = argparse.ArgumentParser(description='A management server for tests; the head of this file says more.')
    parser.add_argument('--control', default='/tmp/hub.sock', help='Unix socket of hubctl (%(default)s)')
    parser.add_argument('--listen', default='127.0.0.1:0', help='for HTTP/2 in cleartext (%(default)s)')
    parser.add_argument('--tls', help='ADDRESS:PORT for TLS; needs --cert and --key')
    parser.add_argument('--cert', help='PEM file')
    parser.add_argument('--key', help='PEM file')
    parser.add_argument('--client-ca', help='PEM file; over TLS clients then have to show a certificate of this authority')
    parser.add_argument('--state', help='file that outlives the hub')
    parser.add_argument('--server-key', help='private key in base64; without it a new one at each start')
    parser.add_argument('--signal', help='told to agents; without it where the signal server listens')
    parser.add_argument('--signal-listen', default='127.0.0.1:0', help='of the signal server, in cleartext (%(default)s)')
    parser.add_argument('--group-ms', type=int, default=1000, help='changes are held until so long nothing has changed')
    parser.add_argument('--ephemeral-s', type=float, default=600, help='absence after which ephemeral peers are removed')
    parser.add_argument('--reference', action='store_true',
                        help='PING after 5 s of silence and 2 s for its answer, GOAWAY after 15 s without a stream and for '
                             'more than a PING in 15 s (grpcio takes up to twice as long for idle connections)')
    parser.add_argument('--ping-ms', type=int, help='as --reference, one by one')
    parser.add_argument('--ping-timeout-ms', type=int)
    parser.add_argument('--min-ping-ms', type=int)
    parser.add_argument('--idle-ms', type=int)
    return parser.parse_args()


def channel_options(arguments):
    reference = {'ping_ms': 5000, 'ping_timeout_ms': 2000, 'min_ping_ms': 15000, 'idle_ms': 15000}
    names = {'ping_ms': 'grpc.keepalive_time_ms', 'ping_timeout_ms': 'grpc.keepalive_timeout_ms',
             'idle_ms': 'grpc.max_connection_idle_ms', 'min_ping_ms': 'grpc.http2.min_ping_interval_without_data_ms'}
    options = [('grpc.so_reuseport', 0), ('grpc.max_receive_message_length', -1), ('grpc.max_send_message_length', -1),
               ('grpc.keepalive_permit_without_calls', 1)]
    for name, option in names.items():
        value = getattr(arguments, name) or (reference[name] if arguments.reference else None)
        if value:
            options.append((option, value))
    return options


class Hub:
    def __init__(self, arguments):
        self.arguments = arguments
        self.state, self.faults = State(arguments.state), Faults()
        self.service = Service(self.state, Services(), self.faults, arguments.server_key, arguments.group_ms / 1000)
        self.exchange = Exchange(self.faults)
        self.listen, self.tls = arguments.listen, arguments.tls
        self.signal_listen = arguments.signal_listen
        self.port = self.tls_port = self.signal_port = 0
        self.server = self.signal_server = None
        self.stopping = asyncio.Event()

    async def start(self):
        self.server = grpc.aio.server(options=channel_options(self.arguments))
        self.server.add_generic_rpc_handlers([self.service.handlers(), self.exchange.handlers()])
        self.port = self.server.add_insecure_port(self.listen)
        # The next start is to find the same ports.
        self.listen = f'{self.listen.rpartition(":")[0]}:{self.port}'
        if self.tls:
            self.tls_port = self.server.add_secure_port(self.tls, self.credentials())
            self.tls = f'{self.tls.rpartition(":")[0]}:{self.tls_port}'
        await self.server.start()

    def credentials(self):
        paths = self.arguments.key, self.arguments.cert, self.arguments.client_ca
        key, cert, authority = (pathlib.Path(path).read_bytes() if path else None for path in paths)
        return grpc.ssl_server_credentials([(key, cert)], authority, authority is not None)

    async def start_signal(self):
        self.signal_server = grpc.aio.server(options=channel_options(self.arguments))
        self.signal_server.add_generic_rpc_handlers([self.exchange.handlers()])
        self.signal_port = self.signal_server.add_insecure_port(self.signal_listen)
        self.signal_listen = f'{self.signal_listen.rpartition(":")[0]}:{self.signal_port}'
        self.service.services.signal = self.arguments.signal or self.signal_listen
        await self.signal_server.start()

    async def stop_signal(self):
        await self.signal_server.stop(0)

    def new_key(self, private=None):
        self.service.key = ServerKey(private)
        return self.service.key.public

    async def restart(self, private, down):
        await self.server.stop(0)
        await asyncio.sleep(down)
        self.new_key(private or self.arguments.server_key)
        await self.start()

    async def run(self):
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stopping.set)
        await self.start()
        await self.start_signal()
        path = self.arguments.control
        listener = await lines.serve(path, Commands(self))
        ticker = loop.create_task(self.service.tick(self.arguments.ephemeral_s))
        print(json.dumps({'port': self.port, 'tls_port': self.tls_port, 'signal_port': self.signal_port,
                          'server_key': self.service.key.public}), flush=True)
        await self.stopping.wait()
        ticker.cancel()
        listener.close()
        await self.server.stop(0)
        await self.stop_signal()
        os.unlink(path)


async def main():
    await Hub(parse_arguments()).run()


if __name__ == '__main__':
    asyncio.run(main())
