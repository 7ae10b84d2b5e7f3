"""What tests can tell the signal server of the hub; hub.py lists it."""
import asyncio

from faults import refusal


class SignalCommands:
    def _key_of(self, peer):
        return self._find(peer)[1].key if self._knows(peer) else peer

    def signal_peers(self):
        return list(self.exchange.queues)

    def signal_log(self, peer='', last=0):
        key = self._key_of(peer) if peer else ''
        found = [entry for entry in self.exchange.log if key in ('', entry['from'], entry['to'])]
        return found[-last:]

    def signal_forget(self):
        self.exchange.log.clear()

    def signal_end(self, peer='', code='', text=''):
        for key in [self._key_of(peer)] if peer else list(self.exchange.queues):
            self.exchange.end(key, refusal(code, text) if code else None)

    def signal_push(self, peer, hex, times=1):
        key = self._key_of(peer)
        if key not in self.exchange.queues:
            raise ValueError(f'{peer} is not registered')
        for _ in range(times):
            self.exchange.queues[key].put_nowait(bytes.fromhex(hex))

    def signal_replay(self, peer='', times=1):
        """Everything that was ever sent (to that peer), again."""
        entries = [entry for entry in self.exchange.log if not peer or entry['to'] == self._key_of(peer)]
        for entry in entries * times:
            self.exchange.deliver(entry['to'], bytes.fromhex(entry['hex']))
        return len(entries) * times

    def signal_deaf(self, on=True):
        self.exchange.deaf = on

    async def signal_restart(self, down=0):
        await self.hub.stop_signal()
        await asyncio.sleep(down)
        await self.hub.start_signal()
