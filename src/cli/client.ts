/** tdmfctl's side of the control API: HTTP over `run/control.sock`, JSON both ways. */
import { request } from 'node:http';
import { createInterface } from 'node:readline';
import { home } from '../config/home.js';
import { fromPlainError, type PlainError, TdmfError } from '../core/errors.js';

export interface Client {
  get<T>(path: string): Promise<T>;
  post<T>(path: string, body: unknown): Promise<T>;
  /** Lines of JSON as they come, until the server ends or `onLine` returns false. */
  lines(path: string, onLine: (value: unknown) => boolean): Promise<void>;
}

/** Every call rejects with TDMF_DAEMON_UNREACHABLE when nobody answers, else with tdmfd's error. */
export function client(homeDirectory: string): Client {
  const socketPath = home(homeDirectory).controlSocket;

  function call(method: string, path: string, body?: unknown): Promise<NodeJS.ReadableStream> {
    return new Promise((resolve, reject) => {
      const outgoing = request(
        { socketPath, path, method, headers: { 'content-type': 'application/json' } },
        (response) => {
          if (response.statusCode === 200) return resolve(response);
          text(response).then((content) => reject(asError(content)), reject);
        },
      );
      outgoing.on('error', (cause: NodeJS.ErrnoException) => {
        const details = { socket: socketPath };
        if (cause.code === 'EACCES' || cause.code === 'EPERM')
          return reject(new TdmfError('TDMF_DAEMON_FORBIDDEN', details));
        const why = new Error(reasons[cause.code ?? ''] ?? cause.message);
        reject(new TdmfError('TDMF_DAEMON_UNREACHABLE', details, { cause: why }));
      });
      outgoing.end(body === undefined ? undefined : JSON.stringify(body));
    });
  }

  return {
    get: async <T>(path: string) => JSON.parse(await text(await call('GET', path))) as T,
    post: async <T>(path: string, body: unknown) =>
      JSON.parse(await text(await call('POST', path, body))) as T,
    async lines(path, onLine) {
      const response = await call('GET', path);
      const ended = new Promise<void>((resolve, reject) => {
        response.once('end', resolve);
        response.once('error', reject);
      });
      // Looked at below; meanwhile a loss is not an unhandled one.
      ended.catch(() => undefined);
      for await (const line of createInterface({ input: response })) {
        if (!onLine(JSON.parse(line))) return;
      }
      await ended.catch((cause: unknown) => {
        throw new TdmfError('TDMF_DAEMON_GONE', {}, { cause });
      });
    },
  };
}

/** What a failed connect means, in words. */
const reasons: Readonly<Record<string, string>> = {
  ENOENT: 'there is no such socket',
  ECONNREFUSED: 'nobody listens there any more',
  ECONNRESET: 'it ended while it was asked',
};

async function text(stream: NodeJS.ReadableStream): Promise<string> {
  let content = '';
  stream.setEncoding('utf8');
  for await (const chunk of stream) content += String(chunk);
  return content;
}

function asError(content: string): Error {
  try {
    return fromPlainError((JSON.parse(content) as { error: PlainError }).error);
  } catch (cause) {
    return new TdmfError('TDMF_INTERNAL', { what: `tdmfd answered '${content}'` }, { cause });
  }
}
