"""Accounts with their setup keys and peers: what the server knows, and the rules by which that changes.

Nothing here speaks to anybody. Every change goes through State.changed, which counts the serial up, saves, and tells
the listener (the open streams)."""
import dataclasses
import functools
import hashlib
import ipaddress
import json
import os
import re
import time
import uuid
from dataclasses import dataclass, field

from crypto import key_text
from messages import pb


class Refusal(Exception):
    """An answer that is an error: a gRPC code by name, and its text."""

    def __init__(self, code, text):
        super().__init__(f'{code}: {text}')
        self.code, self.text = code, text


INVALID_KEY = "couldn't add peer: setup key is invalid"
EVERYBODY = {'id': 'default', 'sources': ['All'], 'destinations': ['All'], 'bidirectional': True}
LABELS_MAX = 32


@dataclass
class SetupKey:
    name: str
    key: str  # lower case
    reusable: bool = True
    limit: int = 0  # uses; 0: any number
    expires: float = 0  # 0: never
    revoked: bool = False
    ephemeral: bool = False
    extra_labels: bool = False
    groups: list = field(default_factory=list)
    used: int = 0

    def is_valid(self):
        limit = self.limit if self.reusable else 1
        return not (self.revoked or self.expires and self.expires <= time.time() or limit and self.used >= limit)


@functools.lru_cache(1 << 17)
def address_in(network, host):
    network = ipaddress.ip_network(network)
    return str(network[host]), network.prefixlen


@functools.lru_cache(4096)
def system_of(text):
    return pb.PeerSystemMeta.FromString(bytes.fromhex(text))


@dataclass(eq=False)
class Peer:
    key: str
    label: str
    host: int  # its number in the networks
    groups: list = field(default_factory=list)
    labels: list = field(default_factory=list)
    meta: str = ''  # PeerSystemMeta, hex
    ssh_key: str = ''  # hex
    setup_key: str = ''  # its name
    ephemeral: bool = False
    fake: bool = False
    # What the outside world has decided about it.
    expired: bool = False
    blocked: bool = False
    pending: bool = False
    other_owner: bool = False
    patch: dict = field(default_factory=dict)  # put into each of its SyncResponses, see messages.patch
    seen: float = 0  # last time it had a stream

    def system(self):
        return system_of(self.meta)  # not to be changed


@dataclass
class Account:
    name: str
    # Settings: `hubctl set` changes these.
    domain: str = 'netbird.selfhosted'
    network: str = '100.64.0.0/16'
    network6: str = ''  # fd00:6c::/64
    lazy: bool = False
    routing_dns: bool = False
    ssh: bool = False
    policies: list = field(default_factory=lambda: [dict(EVERYBODY)])
    routes: list = field(default_factory=list)
    dns: dict = field(default_factory=lambda: {'enabled': True})
    checks: list = field(default_factory=list)  # lists of paths
    patch: dict = field(default_factory=dict)  # as of a peer, for all of them
    fake_rules: int = 0
    # What becomes of them.
    serial: int = 0
    setup_keys: list = field(default_factory=list)
    peers: dict = field(default_factory=dict)

    def address(self, peer):
        """As text, and the length of the network's prefix."""
        return address_in(self.network, peer.host)

    def address6(self, peer):
        return address_in(self.network6, peer.host)

    def has6(self, peer):
        system = peer.system()
        return bool(self.network6) and (peer.fake or 2 in system.capabilities and not system.flags.disableIPv6)

    def fqdn(self, peer):
        return f'{peer.label}.{self.domain}'

    def members(self, names):
        """Peers of groups; a peer is also a group of its own, by label."""
        if 'All' in names:
            return list(self.peers.values())
        return [p for p in self.peers.values() if p.label in names or any(group in names for group in p.groups)]

    def find(self, text):
        for peer in self.peers.values():
            if text in (peer.key, peer.label, self.fqdn(peer), self.address(peer)[0]):
                return peer
        return None

    def passes_checks(self, peer):
        """Every file that is asked for exists, and its process runs."""
        good = {f.path for f in peer.system().files if f.exist and f.processIsRunning}
        return all(path in good for paths in self.checks for path in paths)

    def free_host(self):
        taken = {peer.host for peer in self.peers.values()}
        last = ipaddress.ip_network(self.network).num_addresses - 1
        return next(host for host in range(1, last) if host not in taken)


SETTINGS = ('domain', 'network', 'network6', 'lazy', 'routing_dns', 'ssh', 'policies', 'routes', 'dns', 'checks', 'patch',
            'fake_rules')


def label_of(hostname):
    first = hostname.split('.')[0]
    try:
        first = first.encode('idna').decode()
    except UnicodeError:
        pass
    return re.sub('[^a-z0-9-]', '-', first.lower())[:59]


def valid_label(label):
    return re.fullmatch(r'(\*\.)?[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?)*', label)


class State:
    def __init__(self, path=None):
        self.path = path
        self.accounts = {'main': Account('main')}
        self.listener = lambda account: None
        self.removed = lambda account, peer: None
        if path and os.path.exists(path):
            with open(path, encoding='utf-8') as file:
                self.accounts = {name: self.account_from(value) for name, value in json.load(file).items()}

    @staticmethod
    def account_from(value):
        account = Account(**value)
        account.setup_keys = [SetupKey(**key) for key in account.setup_keys]
        account.peers = {key: Peer(**peer) for key, peer in account.peers.items()}
        return account

    def save(self):
        if not self.path:
            return
        with open(self.path + '.new', 'w', encoding='utf-8') as file:
            json.dump({name: dataclasses.asdict(account) for name, account in self.accounts.items()}, file)
        os.rename(self.path + '.new', self.path)

    def changed(self, account, serial=True):
        account.serial += serial
        self.save()
        self.listener(account)

    def peer_of(self, key):
        for account in self.accounts.values():
            if key in account.peers:
                return account, account.peers[key]
        return None, None

    def add_key(self, account, key=None, ttl=0, **more):
        key = (key or str(uuid.uuid4())).lower()
        name = more.pop('name', f'key{len(account.setup_keys) + 1}')
        account.setup_keys.append(SetupKey(name, key, expires=time.time() + ttl if ttl else 0, **more))
        self.save()
        return account.setup_keys[-1]

    def key_of(self, text):
        for account in self.accounts.values():
            for key in account.setup_keys:
                if text.lower() == key.key:
                    return account, key
        return None, None

    def login(self, key, request):
        """The account and peer of a LoginRequest; registers it when it has to be."""
        if not request.meta.ByteSize():
            raise Refusal('FAILED_PRECONDITION', 'peer system meta has to be provided to log in')
        account, peer = self.peer_of(key)
        if peer:
            self.admit(peer)
            if peer.other_owner:
                raise Refusal('PERMISSION_DENIED', 'peer is already registered by a different User or a Setup Key')
            ssh_key = request.peerKeys.sshPubKey.hex()
            changed = self.set_meta(peer, request.meta) or peer.ssh_key != ssh_key
            peer.ssh_key = ssh_key
            if changed:
                self.changed(account)
            return account, peer
        if request.jwtToken:
            raise Refusal('INVALID_ARGUMENT', 'invalid jwt token, err: no token is valid here')
        if not request.setupKey:
            raise Refusal('PERMISSION_DENIED',
                          'no peer auth method provided, please use a setup key or interactive SSO login')
        account, setup_key = self.key_of(request.setupKey)
        if not setup_key or not setup_key.is_valid():
            raise Refusal('NOT_FOUND', INVALID_KEY)
        return account, self.register(account, setup_key, key, request)

    @staticmethod
    def admit(peer):
        """Refuses peers that the outside world has decided against, at Login and Sync."""
        if peer.expired:
            raise Refusal('PERMISSION_DENIED', 'peer login has expired, please log in once more')
        if peer.blocked:
            raise Refusal('PERMISSION_DENIED', 'user is blocked')

    def register(self, account, setup_key, key, request):
        labels = list(request.dnsLabels)
        if labels and not setup_key.extra_labels:
            raise Refusal('FAILED_PRECONDITION', "couldn't add peer: setup key doesn't allow extra DNS labels")
        if len(labels) > LABELS_MAX or not all(map(valid_label, labels)):
            raise Refusal('INTERNAL', 'failed handling request')
        setup_key.used += 1
        peer = self.add_peer(account, key, request.meta.hostname, setup_key.ephemeral)
        peer.groups, peer.labels = list(setup_key.groups), labels
        peer.setup_key, peer.ephemeral = setup_key.name, setup_key.ephemeral
        peer.ssh_key = request.peerKeys.sshPubKey.hex()
        self.set_meta(peer, request.meta)
        self.changed(account)
        return peer

    @staticmethod
    def add_peer(account, key, hostname, numbered=False):
        peer = Peer(key, label_of(hostname), account.free_host(), seen=time.time())
        if numbered or any(peer.label == other.label for other in account.peers.values()):
            octets = account.address(peer)[0].split('.')
            peer.label += f'-{octets[2]}-{octets[3]}'
        account.peers[key] = peer
        return peer

    @staticmethod
    def set_meta(peer, meta):
        """Whether it differs from what was known."""
        new = meta.SerializeToString(deterministic=True).hex()
        changed, peer.meta = peer.meta != new, new
        return changed

    def remove(self, account, peer):
        del account.peers[peer.key]
        account.serial += 1
        self.removed(account, peer)
        self.save()
        self.listener(account)

    def fake_peers(self, account, count, first=0, version='0.65.0', **more):
        """As many peers that nobody is; the same at each call with the same `first`. Keys are hashes: nobody has their
        other half."""
        for key in [key for key, peer in account.peers.items() if peer.fake]:
            del account.peers[key]
        host = account.free_host()
        hosts = iter(sorted(set(range(host, host + count + len(account.peers) + 1)) -
                            {peer.host for peer in account.peers.values()}))
        meta = pb.PeerSystemMeta(hostname='fake', goOS='linux', netbirdVersion=version, capabilities=[1, 2])
        meta = meta.SerializeToString(deterministic=True).hex()
        for i in range(first, first + count):
            key = key_text(hashlib.sha256(f'fake peer {i}'.encode()).digest())
            account.peers[key] = Peer(key, f'fake-{i}', next(hosts), meta=meta, fake=True, **more)
        self.changed(account)
