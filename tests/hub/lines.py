"""A Unix socket by which tests script a program: JSON lines, {"do": COMMAND, NAME: VALUE...} and the answer {"ok": true,
"result": ...} or {"ok": false, "error": "..."}. Commands are methods of an object, "_" standing for "-"."""
import asyncio
import inspect
import json
import os

LINE_MAX = 256 * 1024 * 1024


async def answer(commands, request):
    name = request.pop('do').replace('-', '_')
    command = getattr(commands, name, None)
    if not inspect.ismethod(command) or name.startswith('_'):
        raise ValueError(f'no command {name}')
    result = command(**request)
    return await result if inspect.isawaitable(result) else result


async def serve(path, commands):
    async def converse(reader, writer):
        try:
            while line := await reader.readline():
                try:
                    reply = {'ok': True, 'result': await answer(commands, json.loads(line))}
                except Exception as error:  # pylint: disable=broad-except # a mistake in a test is told to the test
                    reply = {'ok': False, 'error': f'{type(error).__name__}: {error}'}
                writer.write(json.dumps(reply).encode() + b'\n')
                await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.close()

    if os.path.exists(path):
        os.unlink(path)
    return await asyncio.start_unix_server(converse, path, limit=LINE_MAX)
