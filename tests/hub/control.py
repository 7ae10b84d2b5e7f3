"""What tests can tell the hub, see lines.py: each method of Commands without an underscore in front is a command; hub.py
lists them."""
import asyncio
import dataclasses
import time

import netmap
from accounts import SETTINGS, Account, State
from faults import refusal
from messages import from_dict, pb, to_dict
from service import INNER
from signalling import SignalCommands


class Commands(SignalCommands):
    def __init__(self, hub):
        self.hub, self.service, self.state, self.faults, self.exchange = hub, hub.service, hub.state, hub.faults, hub.exchange

    # ---- Accounts

    def _account_of(self, name):
        if name not in self.state.accounts:
            raise ValueError(f'no account {name}')
        return self.state.accounts[name]

    def _find(self, text):
        for account in self.state.accounts.values():
            peer = account.find(text)
            if peer:
                return account, peer
        raise ValueError(f'no peer {text}')

    def info(self):
        return {'port': self.hub.port, 'tls_port': self.hub.tls_port, 'signal_port': self.hub.signal_port, 'server_key': self.service.key.public,
                'serial': {name: account.serial for name, account in self.state.accounts.items()}}

    def add_account(self, name, **settings):
        if name in self.state.accounts:
            raise ValueError(f'account {name} is there')
        self.state.accounts[name] = Account(name)
        self.set(account=name, **settings)

    def set(self, account='main', **settings):
        target = self._account_of(account)
        for name, value in settings.items():
            if name not in SETTINGS or type(value) is not type(getattr(target, name)):
                raise ValueError(f'no setting {name} of that type')
        self._try({name: getattr(target, name) for name in SETTINGS} | settings)
        for name, value in settings.items():
            setattr(target, name, value)
        self.state.changed(target)
        return target.serial

    @staticmethod
    def _try(settings):
        """A map can be made with them: a mistake is to be told here, and not to agents."""
        account = Account('trial', **{**settings, 'fake_rules': 0})
        for number, name in enumerate(['one', 'two', *(route['peer'] for route in settings['routes'])]):
            peer = State.add_peer(account, str(number), name)
            peer.label, peer.fake = name, True
        for peer in account.peers.values():
            netmap.sync_response(account, peer)

    def get(self, account='main'):
        return {name: getattr(self._account_of(account), name) for name in SETTINGS}

    def services(self, **settings):
        for name, value in settings.items():
            if type(value) is not type(getattr(self.service.services, name, None)):
                raise ValueError(f'no service setting {name} of that type')
            setattr(self.service.services, name, value)
        return dataclasses.asdict(self.service.services)

    def serial(self, serial, account='main'):
        self._account_of(account).serial = serial
        self.state.save()

    # ---- Setup keys

    def add_key(self, account='main', **more):
        return self.state.add_key(self._account_of(account), **more).key

    def keys(self, account='main'):
        return [{**dataclasses.asdict(key), 'valid': key.is_valid()} for key in self._account_of(account).setup_keys]

    def revoke_key(self, key, account='main'):
        for candidate in self._account_of(account).setup_keys:
            if key in (candidate.name, candidate.key):
                candidate.revoked = True
                self.state.save()
                return
        raise ValueError(f'no setup key {key}')

    def remove_key(self, key, account='main'):
        keys = self._account_of(account).setup_keys
        keys[:] = [candidate for candidate in keys if key not in (candidate.name, candidate.key)]
        self.state.save()

    # ---- Peers

    def _describe(self, account, peer):
        stream = self.service.streams.get(peer.key)
        system = peer.system()
        return {'label': peer.label, 'fqdn': account.fqdn(peer), 'key': peer.key, 'account': account.name,
                'address': account.address(peer)[0], 'address6': account.address6(peer)[0] if account.has6(peer) else '',
                'groups': peer.groups, 'labels': peer.labels, 'setup_key': peer.setup_key, 'ephemeral': peer.ephemeral,
                'hostname': system.hostname, 'version': system.netbirdVersion, 'connected': bool(stream),
                'serial': stream.serial if stream else 0, 'messages': stream.messages if stream else 0,
                'job': peer.key in self.service.jobs,
                **{mark: getattr(peer, mark) for mark in ('expired', 'blocked', 'pending', 'other_owner', 'fake')}}

    def peers(self, account='main', fake=False):
        account = self._account_of(account)
        return [self._describe(account, peer) for peer in account.peers.values() if fake or not peer.fake]

    def peer(self, peer):
        account, peer = self._find(peer)
        return {**self._describe(account, peer), 'meta': to_dict(peer.system())}

    def mark(self, peer, **marks):
        """expired, blocked, pending, other_owner, ephemeral, groups, labels, label"""
        account, peer = self._find(peer)
        for name, value in marks.items():
            if name not in ('expired', 'blocked', 'pending', 'other_owner', 'ephemeral', 'groups', 'labels', 'label'):
                raise ValueError(f'no mark {name}')
            setattr(peer, name, value)
        self.state.changed(account)
        if (peer.expired or peer.blocked) and peer.key in self.service.streams:
            self.service.streams[peer.key].end()

    def remove(self, peer):
        self.state.remove(*self._find(peer))

    def add_peer(self, key, hostname, account='main', version='0.65.0', **marks):
        """A peer that did not have to log in; for remote ones that nobody runs."""
        account = self._account_of(account)
        peer = self.state.add_peer(account, key, hostname)
        self.state.set_meta(peer, pb.PeerSystemMeta(hostname=hostname, goOS='linux', netbirdVersion=version, capabilities=[1, 2]))
        self.mark(key, **marks)
        return peer.label

    def fake(self, peers, rules=0, account='main', **more):
        account = self._account_of(account)
        account.fake_rules = rules
        self.state.fake_peers(account, peers, **more)

    # ---- What streams carry

    def _streams_of(self, peer):
        if not peer:
            return list(self.service.streams.values())
        _, peer = self._find(peer)
        if peer.key not in self.service.streams:
            raise ValueError(f'{peer.label} has no stream')
        return [self.service.streams[peer.key]]

    def push(self, peer=''):
        for stream in self._streams_of(peer):
            stream.push()

    def push_raw(self, peer='', hex='', json=None, times=1):
        plain = from_dict(pb.SyncResponse, json).SerializeToString() if json is not None else bytes.fromhex(hex)
        for stream in self._streams_of(peer):
            for _ in range(times):
                stream.send(plain)

    def patch(self, peer, json):
        account, peer = self._find(peer)
        from_dict(pb.SyncResponse, json)  # a mistake is to be told here
        peer.patch = json
        self.state.changed(account)

    def map(self, peer):
        return to_dict(netmap.sync_response(*self._find(peer)))

    def map_raw(self, peer):
        return netmap.sync_response(*self._find(peer)).SerializeToString().hex()

    def refresh(self, turn=False):
        self.service.refresh(turn)

    def end(self, peer='', code='', text=''):
        for stream in self._streams_of(peer):
            stream.end(refusal(code, text) if code else None)

    def job(self, peer, hex='', json=None):
        _, found = self._find(peer)
        if found.key not in self.service.jobs:
            raise ValueError(f'{found.label} has no job stream')
        plain = from_dict(pb.JobRequest, json).SerializeToString() if json is not None else bytes.fromhex(hex)
        self.service.jobs[found.key].put_nowait(plain)

    def job_answers(self):
        return self.service.job_answers

    # ---- What clients said

    def _records(self, method, peer):
        key = self._find(peer)[1].key if peer else None
        return [record for record in self.service.records
                if method in ('', record['method']) and key in (None, record.get('peer'))]

    def requests(self, method='', peer='', last=0, since=0):
        """`since`: the number of the first that is wanted."""
        found = [record for record in self._records(method, peer) if record['n'] >= since]
        return [self._with_message(record) for record in found[-last if last else None:]]

    @staticmethod
    def _with_message(record):
        kind = INNER.get(record['method'])
        if not kind or 'plain' not in record:
            return record
        try:
            return {**record, 'message': to_dict(kind.FromString(bytes.fromhex(record['plain'])))}
        except Exception as error:  # pylint: disable=broad-except # what it says is for people
            return {**record, 'message': str(error)}

    def count(self, method='', peer=''):
        return len(self._records(method, peer))

    def forget(self):
        self.service.records.clear()
        self.service.job_answers.clear()

    async def wait(self, peer='', method='', count=1, timeout=10):
        """Until the peer has been sent the newest map, or until so many calls of a method are recorded; fails after
        `timeout` seconds."""
        end = time.monotonic() + timeout
        while not (self._is_current(peer) if not method else self.count(method, peer if self._knows(peer) else '') >= count):
            if time.monotonic() > end:
                raise ValueError(f'not within {timeout} s')
            await asyncio.sleep(0.02)

    def _knows(self, peer):
        return any(account.find(peer) for account in self.state.accounts.values())

    def _is_current(self, peer):
        if not self._knows(peer):
            return False
        account, peer = self._find(peer)
        stream = self.service.streams.get(peer.key)
        return bool(stream and stream.messages and stream.serial == account.serial and stream.queue.empty())

    # ---- Faults

    def fault(self, method, kind, peer='', **options):
        if peer and self._knows(peer):
            peer = self._find(peer)[1].key
        self.faults.add(method, kind, peer=peer, **options)

    def list_faults(self):
        return [dataclasses.asdict(fault) for fault in self.faults.faults]

    def unfault(self, method='*'):
        self.faults.clear(method)

    def new_key(self, private=None):
        """Another server key, with all connections as they are."""
        return self.hub.new_key(private)

    async def restart(self, private=None, down=0):
        """Connections are cut, and after `down` seconds the hub listens again, with a new key."""
        await self.hub.restart(private, down)
        return self.service.key.public

    def stop(self):
        asyncio.get_running_loop().call_soon(self.hub.stopping.set)
