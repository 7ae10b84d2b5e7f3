"""What the server tells a peer: LoginResponse and SyncResponse from an account."""
import base64
import hashlib
import hmac
import ipaddress
import re
import time
from dataclasses import dataclass, field

from messages import patch, pb

NEWEST = (1 << 30,)


@dataclass
class Services:
    """The servers that agents are told of."""
    signal: str = '127.0.0.1:10000'
    signal_tls: bool = False
    stuns: list = field(default_factory=list)  # "stun:host:3478"
    turns: list = field(default_factory=list)  # "turn:host:3478?transport=udp"
    turn_user: str = 'user'
    turn_password: str = 'password'
    turn_secret: str = 'turn-secret'  # of the credentials that come with Sync
    relays: list = field(default_factory=list)  # "rel://host:port"
    relay_secret: str = 'relay-secret'
    life_s: int = 12 * 3600  # of credentials; refreshed after 3/4
    patch: dict = field(default_factory=dict)  # put into each complete NetbirdConfig

    def relay(self, config):
        if not self.relays:
            return
        payload = str(int(time.time()) + self.life_s)
        key = hashlib.sha256(self.relay_secret.encode()).digest()
        config.relay.urls.extend(self.relays)
        config.relay.tokenPayload = payload
        config.relay.tokenSignature = base64.b64encode(hmac.digest(key, payload.encode(), 'sha256')).decode()

    def turn(self, config, lasting=False):
        user, password = self.turn_user, self.turn_password
        if not lasting:
            user = str(int(time.time()) + self.life_s)
            password = base64.b64encode(hmac.digest(self.turn_secret.encode(), user.encode(), 'sha1')).decode()
        for uri in self.turns:
            config.turns.add(hostConfig={'uri': uri, 'protocol': 'UDP'}, user=user, password=password)

    def complete(self, login=False):
        config = pb.NetbirdConfig()
        config.signal.uri = self.signal
        config.signal.protocol = pb.HostConfig.HTTPS if self.signal_tls else pb.HostConfig.HTTP
        for uri in self.stuns:
            config.stuns.add(uri=uri, protocol='UDP')
        self.turn(config, lasting=login)
        self.relay(config)
        patch(config, self.patch)
        return config

    def refresh(self, turn):
        """A message that brings new credentials and nothing else."""
        message = pb.SyncResponse()
        message.netbirdConfig.SetInParent()
        if turn:
            self.turn(message.netbirdConfig)
        self.relay(message.netbirdConfig)
        return message


def version(peer):
    """As a tuple; None when it cannot be read."""
    text = peer.system().netbirdVersion
    if text.startswith(('development', 'ci-', 'dev-')):
        return NEWEST
    match = re.match(r'(\d+)\.(\d+)\.(\d+)', text)
    return tuple(map(int, match.groups())) if match else None


def at_least(peer, *wanted):
    return (version(peer) or ()) >= wanted


def prefix(address, length):
    return ipaddress.ip_address(address).packed + bytes([length])


def peer_config(account, peer):
    config = pb.PeerConfig(fqdn=account.fqdn(peer), RoutingPeerDnsResolutionEnabled=account.routing_dns,
                           LazyConnectionEnabled=account.lazy)
    config.address = '{}/{}'.format(*account.address(peer))
    config.sshConfig.sshEnabled = account.ssh
    config.autoUpdate.version = 'disabled'
    if account.has6(peer):
        config.address_v6 = prefix(*account.address6(peer))
    return config


def add_checks(message, account):
    for paths in account.checks:
        message.Checks.add(Files=paths)


def login_response(services, account, peer):
    message = pb.LoginResponse(netbirdConfig=services.complete(login=True), peerConfig=peer_config(account, peer))
    add_checks(message, account)
    return message


class Builder:
    """Makes the map of one peer."""

    def __init__(self, account, peer):
        self.account, self.peer = account, peer
        self.both6 = account.has6(peer)
        self.prefixes = 1 in peer.system().capabilities
        self.map = pb.NetworkMap(Serial=account.serial, peerConfig=peer_config(account, peer))
        self.remote = {}
        self.seen_rules = set()

    def build(self):
        if self.peer.pending:
            return self.map
        for policy in self.account.policies:
            self.add_policy(policy)
        self.add_fake_rules()
        for peer in self.remote.values():
            self.add_remote(self.map.offlinePeers if peer.expired else self.map.remotePeers, peer)
        for route in self.account.routes:
            self.add_route(route)
        self.add_dns()
        self.map.remotePeersIsEmpty = not self.map.remotePeers
        self.map.firewallRulesIsEmpty = not self.map.FirewallRules
        self.map.routesFirewallRulesIsEmpty = not self.map.routesFirewallRules
        return self.map

    def addresses(self, peer):
        """(address, host length) of a peer as we may know it."""
        yield self.account.address(peer)[0], 32
        if self.both6 and self.account.has6(peer):
            yield self.account.address6(peer)[0], 128

    def add_remote(self, to, peer):
        remote = to.add(wgPubKey=peer.key, fqdn=self.account.fqdn(peer), agentVersion=peer.system().netbirdVersion)
        remote.allowedIps.extend(f'{address}/{length}' for address, length in self.addresses(peer))
        remote.sshConfig.sshPubKey = bytes.fromhex(peer.ssh_key)

    # ---- Rules between peers

    def add_policy(self, policy):
        if not policy.get('enabled', True):
            return
        sources = [p for p in self.account.members(policy['sources']) if not p.pending and
                   (not policy.get('posture') or self.account.passes_checks(p))]
        targets = [p for p in self.account.members(policy['destinations']) if not p.pending]
        both = policy.get('bidirectional', False)
        we_send, we_receive = self.peer in sources, self.peer in targets
        if we_receive:
            self.add_rules(policy, 'IN', sources)
            if both:
                self.add_rules(policy, 'OUT', sources)
        if we_send:
            self.add_rules(policy, 'OUT', targets)
            if both:
                self.add_rules(policy, 'IN', targets)

    def add_rules(self, policy, direction, peers):
        peers = [peer for peer in peers if peer is not self.peer]
        self.remote.update((peer.key, peer) for peer in peers)
        if policy.get('any') and direction == 'IN' and peers:
            sources = [('0.0.0.0', 0)] + ([('::', 0)] if self.both6 else [])
        else:
            sources = [address for peer in peers if not peer.expired for address in self.addresses(peer)]
        for address, length in sources:
            for ports in self.port_choices(policy):
                self.add_rule(policy, direction, address, length, ports)

    def port_choices(self, policy):
        """Decimal text, (first, last), or None for no limit, as this peer understands them."""
        protocol = policy.get('protocol', 'ALL')
        if protocol == 'NETBIRD_SSH':
            return ['22'] + (['22022'] if at_least(self.peer, 0, 60, 0) else [])
        if protocol not in ('TCP', 'UDP'):
            return [None]
        ports = [str(port) for port in policy.get('ports', [])]
        ranges = [tuple(r) for r in policy.get('port_ranges', [])]
        if not ports and not ranges:
            return [(0, 0)]
        if not at_least(self.peer, 0, 48, 0):
            return ports + [str(first) for first, last in ranges if first == last]
        return ports + ranges

    def add_rule(self, policy, direction, address, length, ports):
        protocol = policy.get('protocol', 'ALL')
        fact = (address, direction, policy.get('action', 'ACCEPT'), protocol, ports)
        if fact in self.seen_rules:
            return
        self.seen_rules.add(fact)
        rule = self.map.FirewallRules.add(
            PeerIP=address, Direction=direction, Action=policy.get('action', 'ACCEPT'),
            Protocol='TCP' if protocol == 'NETBIRD_SSH' else protocol, PolicyID=policy.get('id', '').encode(),
            customProtocol=policy.get('custom_protocol', 0))
        if isinstance(ports, str):
            rule.Port = ports
        elif ports:
            rule.PortInfo.range.SetInParent()
            rule.PortInfo.range.start, rule.PortInfo.range.end = ports
        if self.prefixes:
            rule.sourcePrefixes.append(prefix(address, length))

    def add_fake_rules(self):
        """So many rules that no two can be one."""
        network = ipaddress.ip_network(self.account.network)
        for i in range(self.account.fake_rules):
            address = str(network[i // 50000 + 1])
            self.add_rule({'id': 'fake', 'protocol': 'TCP'}, 'IN', address, 32, str(i % 50000 + 1024))

    # ---- Routes and names

    def add_route(self, route):
        router = self.account.find(route['peer'])
        if not router:
            return
        groups = route.get('groups', ['All'])
        ours = router is self.peer
        if not ours and (router.key not in self.remote or self.peer not in self.account.members(groups)):
            return
        domains = route.get('domains', [])
        network = '192.0.2.0/32' if domains else route['network']
        kind = 3 if domains else {4: 1, 6: 2}[ipaddress.ip_network(network).version]
        message = self.map.Routes.add(
            ID=f'{route["id"]}:{router.label}', Network=network, NetworkType=kind, Peer=router.key,
            Metric=route.get('metric', 9999), Masquerade=route.get('masquerade', True), Domains=domains,
            NetID=route.get('net_id', route['id']), keepRoute=route.get('keep', False),
            skipAutoApply=route.get('skip_auto', False))
        if ours:
            self.add_route_rule(route, message)

    def add_route_rule(self, route, message):
        sources = [p for p in self.account.members(route.get('groups', ['All'])) if p.key in self.remote]
        rule = self.map.routesFirewallRules.add(
            action='ACCEPT', destination=message.Network, protocol=route.get('protocol', 'ALL'), RouteID=message.ID,
            isDynamic=bool(message.Domains), domains=message.Domains, PolicyID=route['id'].encode())
        rule.sourceRanges.extend(f'{self.account.address(p)[0]}/32' for p in sources)
        if 'ports' in route:
            rule.portInfo.range.start, rule.portInfo.range.end = route['ports']

    def add_dns(self):
        settings, config = self.account.dns, self.map.DNSConfig
        config.ServiceEnable = settings.get('enabled', True)
        new = all(at_least(peer, 0, 59, 0) for peer in self.account.peers.values())
        config.ForwarderPort = settings.get('forwarder_port', 22054 if new else 5353)
        if not config.ServiceEnable:
            return
        zone = config.CustomZones.add(Domain=self.account.domain + '.')
        for peer in [self.peer, *(p for p in self.remote.values() if not p.expired)]:
            for label in [peer.label, *peer.labels]:
                self.add_records(zone, f'{label}.{self.account.domain}.', peer)
        for extra in settings.get('zones', []):
            patch(config.CustomZones.add(), extra)
        for group in settings.get('groups', []):
            message = config.NameServerGroups.add(
                Primary=group.get('primary', False), Domains=group.get('domains', []),
                SearchDomainsEnabled=group.get('search', False))
            for server in group['servers']:
                ip, _, port = server.rpartition(':')
                message.NameServers.add(IP=ip.strip('[]'), NSType=1, Port=int(port))

    def add_records(self, zone, name, peer):
        for address, length in self.addresses(peer):
            zone.Records.add(Name=name, Type=1 if length == 32 else 28, Class='IN', TTL=300, RData=address)


def sync_response(account, peer, services=None):
    """With `services` it is the first message of a stream."""
    message = pb.SyncResponse(NetworkMap=Builder(account, peer).build())
    if services:
        message.netbirdConfig.CopyFrom(services.complete())
    message.peerConfig.CopyFrom(message.NetworkMap.peerConfig)
    message.remotePeersIsEmpty = message.NetworkMap.remotePeersIsEmpty
    if not at_least(peer, 0, 29, 3):
        message.remotePeers.extend(message.NetworkMap.remotePeers)
    add_checks(message, account)
    patch(message, account.patch)
    patch(message, peer.patch)
    return message


def farewell(account):
    """What a peer gets that has been removed."""
    message = pb.SyncResponse(remotePeersIsEmpty=True)
    message.NetworkMap.Serial = account.serial
    message.NetworkMap.remotePeersIsEmpty = message.NetworkMap.firewallRulesIsEmpty = True
    return message
