#!/usr/bin/python3
"""tests/fuzz/make_update_corpus.py - writes the corpora of fuzz_update and fuzz_envelope: messages that Google's
Python protobuf packs. Run it again after a change of management.proto."""
import base64
import os
import subprocess
import sys
import tempfile

here = os.path.dirname(os.path.realpath(__file__))
top = os.path.dirname(os.path.dirname(here))
generated = tempfile.mkdtemp()
subprocess.run(['protoc', f'--python_out={generated}', '-I', f'{top}/mgmt', 'management.proto'], check=True)
sys.path.insert(0, generated)
import management_pb2 as pb  # noqa: E402


def key(i):
    return base64.b64encode(bytes([i, 1]) + bytes(30)).decode()


def write(corpus, name, data):
    os.makedirs(f'{here}/corpus/{corpus}', exist_ok=True)
    with open(f'{here}/corpus/{corpus}/{name}', 'wb') as out:
        out.write(data)


def configure(config, v6=True):
    config.address = '100.92.0.1/16'
    config.fqdn = 'Us.example.net.'
    config.LazyConnectionEnabled = True
    config.mtu = 1400
    if v6:
        config.address_v6 = bytes.fromhex('fd00' + '00' * 13 + '01' + '40')


def add_servers(config):
    config.stuns.add(uri='stun:a.example:3478')
    turn = config.turns.add(user='u', password='p')
    turn.hostConfig.uri = 'turn:a.example:3478?transport=udp'
    config.turns.add()
    config.signal.uri = 's.example:443'
    config.signal.protocol = pb.HostConfig.HTTPS
    config.relay.urls.append('rels://r.example:443')
    config.relay.tokenPayload = '1800000000'
    config.relay.tokenSignature = 'c2ln'
    config.flow.enabled = True


def add_peers(network_map, n):
    for i in range(n):
        network_map.remotePeers.add(wgPubKey=key(i + 2), fqdn=f'host-{i}.example.net', agentVersion='0.60.0',
                                    allowedIps=[f'100.92.1.{i}/32', f'fd00::1:{i:x}/128'])


def add_routes(network_map):
    def add(network, kind, router, **more):
        network_map.Routes.add(ID='id', Network=network, NetworkType=kind, Peer=key(router), NetID='net', **more)
    add('10.1.0.0/16', 1, 2, Metric=100, Masquerade=True)
    add('10.1.0.0/16', 1, 3, Metric=5)
    add('10.1.0.0/16', 1, 3, Metric=4)
    add('fd01::/48', 2, 2, Metric=1)
    add('0.0.0.0/0', 1, 2, Metric=9999)
    add('0.0.0.0/0', 1, 3, Metric=1, skipAutoApply=True)
    network_map.Routes.add(ID='id', Network='::/0', NetworkType=2, Peer=key(2), NetID='net-v6', Metric=1)
    network_map.Routes.add(ID='id', Network='0.0.0.0/0', NetworkType=1, Peer=key(3), NetID='b', Metric=1)
    network_map.Routes.add(ID='id', Network='::/0', NetworkType=2, Peer=key(3), NetID='b-v6', Metric=1)
    add('10.2.0.0/16', 1, 1, Metric=1)
    add('10.2.0.0/16', 1, 2, Metric=1)
    add('127.0.0.0/8', 1, 2, Metric=-1)
    add('100.92.0.1/32', 1, 2, Metric=10000)
    add('10.3.0.0/16', 1, 77, Metric=1)
    add('10.1.0.0/16', 2, 2)
    add('192.0.2.0/32', 3, 2, Domains=['a.example', '*.b.example', 'c d'])
    network_map.Routes.add(Peer='x')


def add_rules(network_map):
    add = network_map.FirewallRules.add
    prefix = bytes([100, 92, 1, 1, 32])
    add(PeerIP='100.92.1.1', Protocol=pb.TCP, Port='443', PolicyID=b'policy', sourcePrefixes=[prefix])
    add(PeerIP='100.92.1.1', Protocol=pb.UDP, PortInfo=pb.PortInfo(port=53))
    add(PeerIP='100.92.1.1', Protocol=pb.TCP, PortInfo=pb.PortInfo(range=pb.PortInfo.Range(start=1, end=9)))
    add(PeerIP='100.92.1.1', Protocol=pb.TCP, PortInfo=pb.PortInfo(range=pb.PortInfo.Range(start=9, end=1)))
    add(PeerIP='100.92.1.1', Protocol=pb.TCP, PortInfo=pb.PortInfo(range=pb.PortInfo.Range(start=0, end=9)))
    add(PeerIP='0.0.0.0', Protocol=pb.ALL, Action=pb.DROP, Port='22')
    add(PeerIP='::', Protocol=pb.ICMP)
    add(PeerIP='100.92.1.1', Protocol=pb.ICMP, Port='1')
    add(PeerIP='100.92.1.1', Protocol=pb.ALL, Direction=pb.OUT)
    add(PeerIP='100.92.1.1', Protocol=pb.CUSTOM, customProtocol=47)
    add(PeerIP='100.92.1.1', Protocol=pb.NETBIRD_SSH, Action=pb.DROP)
    add(PeerIP='x', Protocol=pb.TCP, Port='x')
    add(PeerIP='x', Protocol=pb.TCP)
    mapped = bytes(10) + b'\xff\xff' + bytes([10, 9, 8, 7, 120])
    add(Protocol=pb.TCP, Port='1', sourcePrefixes=[mapped, bytes(16) + b'\0', b'\xfd' + bytes(15) + b'\x40'])
    add(Protocol=pb.TCP, Port='1', sourcePrefixes=[b'123', mapped[:16] + b'\x5f', prefix[:4] + b'\x21'])


def add_dns(config):
    config.ServiceEnable = True
    config.ForwarderPort = 22054
    zone = config.CustomZones.add(Domain='example.net.', SearchDomainDisabled=True, NonAuthoritative=True)
    zone.Records.add(Name='host-0.example.net.', Type=1, Class='IN', TTL=300, RData='100.92.1.0')
    zone.Records.add(Name='*.host-0.example.net.', Type=5, Class='IN', TTL=300, RData='host-0.example.net.')
    zone.Records.add(Name='x y', Type=1, Class='IN', TTL=300, RData='1')
    zone.Records.add(Name='x', Type=-1, Class='CH', TTL=-1, RData='\x1b')
    config.CustomZones.add(Domain=' ')
    group = config.NameServerGroups.add(Primary=True)
    group.NameServers.add(IP='192.0.2.1', NSType=1, Port=53)
    group.NameServers.add(IP='2001:db8::1', NSType=1)
    group.NameServers.add(IP='100.92.0.1', NSType=1, Port=53)
    group.NameServers.add(IP='x', NSType=0, Port=-1)
    group = config.NameServerGroups.add(Domains=['corp.example', '..'], SearchDomainsEnabled=True)
    group.NameServers.add(IP='192.0.2.1', NSType=1, Port=53)
    config.NameServerGroups.add()


def bad_peers(network_map):
    add = network_map.remotePeers.add
    add(wgPubKey='x', fqdn='\x1b[31m')
    add(wgPubKey=key(1), fqdn='us.example.net', allowedIps=['100.92.1.1/32'])
    add(wgPubKey=key(40), fqdn='', allowedIps=['100.92.1.0/32', '8.8.8.8/32', 'x', '100.92.2.2/32'])
    add(wgPubKey=key(40), fqdn='again', allowedIps=['100.92.2.3/32'])
    add(wgPubKey=key(41), fqdn='HOST-0.example.net', allowedIps=['100.92.2.4/32'], agentVersion='0.44.0')
    add(wgPubKey=key(42), fqdn='development', allowedIps=['100.92.2.5/32'], agentVersion='development')
    add(wgPubKey=key(43), fqdn='1.2', allowedIps=[])
    add(wgPubKey=key(44), fqdn='1.2', allowedIps=['100.92.2.6/32'], agentVersion='v1.0.0')
    add(wgPubKey=key(45), fqdn='a', allowedIps=['100.92.2.7/32'], agentVersion='0.x')


def full(v6=True):
    sync = pb.SyncResponse()
    add_servers(sync.netbirdConfig)
    sync.Checks.add(Files=['/usr/bin/b', '/usr/bin/a', 'x'])
    sync.Checks.add(Files=['/usr/bin/b'])
    sync.sessionExpiresAt.seconds = 1800000100
    network_map = sync.NetworkMap
    network_map.Serial = 7
    configure(network_map.peerConfig, v6)
    add_peers(network_map, 3)
    bad_peers(network_map)
    add_routes(network_map)
    add_rules(network_map)
    add_dns(network_map.DNSConfig)
    network_map.offlinePeers.add(wgPubKey=key(60), fqdn='away.example.net', allowedIps=['100.92.1.60/32', 'x'])
    network_map.offlinePeers.add(wgPubKey=key(2))
    network_map.routesFirewallRules.add(sourceRanges=['100.92.0.0/16'])
    network_map.forwardingRules.add(protocol=pb.TCP, translatedAddress=bytes([100, 92, 1, 1]))
    network_map.forwardingRules.add(protocol=pb.TCP, translatedAddress=b'1')
    return sync


write('update', 'full', full().SerializeToString())
write('update', 'full-v4', full(False).SerializeToString())
sync = pb.SyncResponse()
configure(sync.peerConfig)
sync.NetworkMap.Serial = 1
write('update', 'old-server', sync.SerializeToString())
sync.peerConfig.address = '8.8.8.8/16'
write('update', 'public', sync.SerializeToString())
sync.peerConfig.address = '100.92.0.1/33'
write('update', 'bad-address', sync.SerializeToString())
configure(sync.peerConfig)
sync.peerConfig.address_v6 = b'x'
sync.peerConfig.mtu = 1
sync.sessionExpiresAt.seconds = 5
add_peers(sync.NetworkMap, 51)
write('update', 'too-many', sync.SerializeToString())
del sync.NetworkMap.remotePeers[50:]
write('update', 'bad-self', sync.SerializeToString())
sync = pb.SyncResponse()
configure(sync.peerConfig)
for network in ('10.1.0.0/16', '10.2.0.0/16', '10.2.0.0/16'):
    sync.NetworkMap.Routes.add(Network=network, NetworkType=1, Peer=key(1), NetID='n', Metric=1)
for peer in (1, 2):
    sync.NetworkMap.Routes.add(Network='10.0.0.0/8', NetworkType=1, Peer=key(2), NetID='m', Metric=peer)
add_peers(sync.NetworkMap, 2)
for i in range(70):
    sync.NetworkMap.remotePeers.add()
write('update', 'routes-and-notes', sync.SerializeToString())
del sync.NetworkMap.remotePeers[2:]
write('update', 'routes', sync.SerializeToString())
sync = pb.SyncResponse()
for i in range(40):
    sync.netbirdConfig.stuns.add(uri='stun:a')
write('update', 'config-only', sync.SerializeToString())
login = pb.LoginResponse()
add_servers(login.netbirdConfig)
configure(login.peerConfig)
login.Checks.add(Files=[f'/{i}' for i in range(300)])
login.sessionExpiresAt.seconds = 1800000100
write('update', 'login', login.SerializeToString())
write('update', 'other-form', bytes([8 << 3 | 2, 0, 9 << 3, 1]))
# Each list with an element that is cut: its name, its bytes inside of a map.
for name, field in (('peer', 3), ('route', 5), ('dns', 6), ('offline', 7), ('rule', 8), ('forward', 12)):
    sync = pb.SyncResponse()
    configure(sync.peerConfig)
    element = bytes([field << 3 | 2, 2, 0x0a, 9])
    if name == 'dns':  # cut in a zone, a record, a group
        for part in (b'\x1a\x02\x0a\x09', b'\x1a\x04\x12\x02\x0a\x09', b'\x12\x02\x0a\x09'):
            element += bytes([field << 3 | 2, len(part)]) + part
    network_map = bytes([5 << 3 | 2, len(element)]) + element
    write('update', f'cut-{name}', sync.SerializeToString() + network_map)
for number in (1, 6, 7):
    write('update', f'cut-part-{number}', bytes([number << 3 | 2, 2, 0x0a, 9]) + full(False).SerializeToString())


# Two messages: the one before lies in a field that only the fuzzer reads.
def small(peers):
    sync = pb.SyncResponse()
    configure(sync.NetworkMap.peerConfig)
    sync.NetworkMap.FirewallRules.add(PeerIP='100.92.1.2', Protocol=pb.TCP, Port='22')
    for number, name, address in peers:
        sync.NetworkMap.remotePeers.add(wgPubKey=key(number), fqdn=name, allowedIps=[f'100.92.1.{address}/32'])
    return sync


def varint(value):
    return bytes([value & 127 | 128, value >> 7]) if value > 127 else bytes([value])


def write_pair(name, before, after):
    packed = before.SerializeToString()
    write('update', name, b'\xa2\x06' + varint(len(packed)) + packed + after.SerializeToString())


before = small([(2, 'a', 2), (3, 'b', 3), (4, 'c', 4), (5, 'd', 5)])
write_pair('then-same', before, before)
write_pair('then-gone', before, small([(2, 'a', 2), (5, 'd', 5)]))
write_pair('then-more', before, small([(2, 'a', 2), (9, 'x', 9), (3, 'b', 3), (4, 'c', 4), (5, 'd', 5)]))
write_pair('then-name-taken', before, small([(9, 'd', 9), (2, 'a', 2), (5, 'd', 5)]))
write_pair('then-address-taken', before, small([(9, 'x', 5), (2, 'a', 2), (5, 'd', 5)]))
write_pair('then-key-taken', before, small([(5, 'x', 9), (2, 'a', 2), (5, 'd', 5)]))
write_pair('then-bad', before, small([(2, 'a', 2), (9, ' ', 9)]))
write_pair('then-all-other', before, small([(i, f'x{i}', i) for i in range(2, 22)]))
after = small([(2, 'a', 2)])
after.NetworkMap.peerConfig.address = '100.92.0.2/16'
write_pair('then-another-address', before, after)
write('envelope', 'empty', b'')
write('envelope', 'short', pb.EncryptedMessage(wgPubKey=key(1), body=b'x' * 39).SerializeToString())
write('envelope', 'other', pb.EncryptedMessage(wgPubKey=key(1), body=b'x' * 140, version=-1).SerializeToString())
write('envelope', 'fixed', bytes([9]) + bytes(8) + bytes([13]) + bytes(4) + b'\x12\x28' + bytes(40))
write('envelope', 'group', b'\x0b\x0c')
write('envelope', 'long-varint', b'\x18' + b'\xff' * 10 + b'\x01')
write('envelope', 'longest-varint', b'\x18' + b'\xff' * 9 + b'\x01')
write('envelope', 'big-tag', b'\xff\xff\xff\xff\x7f\x00')
write('envelope', 'zero-tag', b'\x00\x00')
write('envelope', 'cut', b'\x12\x7f\x00')
