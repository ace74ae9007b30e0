/**
 * `tdmfd [--home DIR]`: the block server of a host as a foreground process. Runs until SIGTERM or
 * SIGINT; the first signal stops cleanly (every state persisted), a second one gives up waiting.
 */
import { parseArgs } from 'node:util';
import { defaultHomeDirectory, home as homeOf } from '../config/home.js';
import { makeHome } from '../config/make-home.js';
import { packageVersion } from '../config/package-version.js';
import { errorTable, isTdmfError, TdmfError } from '../core/errors.js';
import { jsonLog } from '../io/json-log.js';
import { controlApi, serveControlApi } from '../server/control-api.js';
import { createTdmf } from '../tdmf.js';

const usage = `tdmfd [--home DIR]

The TDMF block server of this host. Configure it with tdmfctl.

  --home DIR   the TDMF home (default: $TDMF_HOME, /var/lib/tdmf for root)
  --version    print the version
`;

/** Resolves with the exit code when the daemon has ended. */
export async function main(argv: readonly string[]): Promise<number> {
  const options = readOptions(argv);
  if (typeof options === 'number') return options;
  const log = jsonLog(process.stderr);
  try {
    const home = homeOf(options.home);
    await makeHome(home);
    // Listening before anything is started: a signal that comes early is not lost.
    const signal = nextSignal();
    const tdmf = await createTdmf({ home: home.directory, log });
    try {
      const api = controlApi(tdmf, { testing: process.env['TDMF_TESTING'] === '1' });
      const server = await serveControlApi(api, home.controlSocket);
      log.write('info', 'tdmfd is ready', { home: home.directory, ...tdmf.version() });
      log.write('info', 'tdmfd is stopping', { signal: await signal });
      void nextSignal().then(() => process.exit(1));
      server.close();
      // Followers of the events would keep the process alive for ever.
      server.closeAllConnections();
    } finally {
      await tdmf.close();
    }
    log.write('info', 'tdmfd has stopped');
    return 0;
  } catch (error) {
    process.stderr.write(`tdmfd: ${describe(error)}\n`);
    // Everything was closed; should something still hold the process, it ends all the same.
    setTimeout(() => process.exit(1), exitDelayMs).unref();
    return 1;
  }
}

function readOptions(argv: readonly string[]): { home: string } | number {
  try {
    const { values } = parseArgs({
      args: [...argv],
      options: {
        home: { type: 'string' },
        help: { type: 'boolean', short: 'h' },
        version: { type: 'boolean' },
      },
    });
    if (values.help) process.stdout.write(usage);
    else if (values.version) process.stdout.write(`tdmfd ${packageVersion()}\n`);
    else return { home: values.home ?? defaultHomeDirectory() };
    return 0;
  } catch (error) {
    process.stderr.write(`tdmfd: ${(error as Error).message}. See tdmfd --help.\n`);
    return 2;
  }
}

function nextSignal(): Promise<NodeJS.Signals> {
  return new Promise((resolve) => {
    for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, resolve);
  });
}

function describe(error: unknown): string {
  if (isTdmfError(error)) {
    return `${new TdmfError(error.code, error.details).message}. ${errorTable[error.code].remedy}`;
  }
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}

const exitDelayMs = 3_000;
