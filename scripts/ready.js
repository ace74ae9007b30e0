/**
 * Makes a checkout ready to run: installs packages, compiles TypeScript and the native addon, each
 * only when its inputs are newer than what it made. `npm run demo` and `npm test` begin with it, so
 * that a bare clone needs nothing but Node 20 and a C++ compiler. Only node: imports here, since
 * nothing is installed yet.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const at = (...parts) => join(root, ...parts);

requireNode(20, 19);
step('packages', ['package.json', 'package-lock.json'], 'node_modules/.tdmf-ready', () =>
  run('npm', ['ci', '--no-audit', '--no-fund', '--loglevel=error']),
);
step('TypeScript', ['src', 'test', 'bench', 'tsconfig.json'], 'dist/.tdmf-ready', () => {
  rmSync(at('dist'), { recursive: true, force: true });
  run(process.execPath, [at('node_modules/typescript/bin/tsc'), '-p', at('tsconfig.json')]);
});
step('native addon', ['native'], 'native/build/.tdmf-ready', () => {
  requireTools({ 'g++': 'g++', make: 'make', python3: 'python3' });
  const gyp = at('node_modules/node-gyp/bin/node-gyp.js');
  const headers = existsSync('/usr/include/node/node_api.h') ? ['--nodedir=/usr'] : [];
  run(process.execPath, [gyp, 'rebuild', '-C', at('native'), '--loglevel=error', ...headers]);
});

function requireNode(major, minor) {
  const [haveMajor, haveMinor] = process.versions.node.split('.').map(Number);
  if (haveMajor > major || (haveMajor === major && haveMinor >= minor)) return;
  fail(`Node ${process.versions.node} is too old. Install Node ${major}.${minor} or newer.`);
}

function requireTools(packageOf) {
  const missing = Object.keys(packageOf).filter(
    (tool) => spawnSync('which', [tool], { stdio: 'ignore' }).status !== 0,
  );
  if (missing.length === 0) return;
  fail(
    `Missing: ${missing.join(', ')}. apt-get install ${missing.map((t) => packageOf[t]).join(' ')}`,
  );
}

/** Runs `make` when an input is newer than the stamp of the last time. */
function step(name, inputs, stamp, make) {
  const made = existsSync(at(stamp)) ? statSync(at(stamp)).mtimeMs : 0;
  if (newest(inputs.map((input) => at(input))) <= made) return;
  console.error(`tdmf: preparing ${name} …`);
  make();
  mkdirSync(dirname(at(stamp)), { recursive: true });
  writeFileSync(at(stamp), '');
}

/** The latest change below the paths; what builds leave behind does not count. */
function newest(paths) {
  let latest = 0;
  for (const path of paths) {
    if (!existsSync(path) || path.endsWith('/build')) continue;
    const stat = statSync(path);
    if (stat.isDirectory()) {
      // A directory's own time counts: a removed file must rebuild too.
      if (!path.endsWith('/native')) latest = Math.max(latest, stat.mtimeMs);
      latest = Math.max(latest, newest(readdirSync(path).map((name) => join(path, name))));
    } else {
      latest = Math.max(latest, stat.mtimeMs);
    }
  }
  return latest;
}

/** What a tool prints is shown when it fails. */
function run(command, args) {
  const { status, stdout, stderr } = spawnSync(command, args, { cwd: root, encoding: 'utf8' });
  if (status === 0) return;
  console.error(`${stdout ?? ''}${stderr ?? ''}`);
  fail(`${command} ${args.join(' ')} failed.`);
}

function fail(text) {
  console.error(`tdmf: ${text}`);
  process.exit(1);
}
