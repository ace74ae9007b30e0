/** From what was typed to a verb: the manual's names, its misprints, and status without a verb. */
import test from 'ava';
import { rewrite, verbOfName } from '../../../src/cli/command-line.js';
import { usageLine } from '../../../src/cli/main.js';

const names: readonly (readonly [string, string | undefined])[] = [
  ['tdmfctl', undefined],
  ['tdmfctl.js', undefined],
  ['tdmfd', undefined],
  ['tdmfinfo', 'info'],
  ['tdmfstart.exe', 'start'],
  ['tdmflaunchrefresh', 'launchrefresh'],
  ['tdmfkillpmd', 'killpmd'],
  ['tdmkillpmd', 'killpmd'],
  ['tdmkillrefresh', 'killrefresh'],
  ['tdmfmfinfo', 'info'],
  ['tdmfrec', 'reco'],
  ['tdmfdebugcapture', 'debugcapture'],
  ['node', undefined],
];
for (const [name, verb] of names) {
  test(`${name} is ${verb ?? 'no verb'}`, (t) => t.is(verbOfName(name), verb));
}

const lines: readonly (readonly [string, string])[] = [
  ['/x/bin/tdmfctl.js', 'status'],
  ['/x/bin/tdmfctl.js --json', 'status --json'],
  ['/x/bin/tdmfctl.js -g 0', 'status -g 0'],
  ['/x/bin/tdmfctl.js --home /h', '--home /h status'],
  ['/x/bin/tdmfctl.js --home=/h -a', '--home=/h status -a'],
  ['/x/bin/tdmfctl.js --home /h info 3', '--home /h info 3'],
  ['/x/bin/tdmfctl.js --help', '--help'],
  ['/x/bin/tdmfctl.js --version', 'version'],
  ['/x/bin/tdmfctl.js -V --json', 'version --json'],
  ['/usr/bin/tdmfinfo', 'info'],
  ['/usr/bin/tdmfinfo -g 1,3-5 --json', 'info -g 1,3-5 --json'],
  ['/usr/bin/tdmflaunchrefresh -af', 'launchrefresh -af'],
  ['/usr/bin/tdmkillpmd 0', 'killpmd 0'],
  ['/usr/bin/tdmfcheckpoint -g 101 -on', 'checkpoint -g 101 --on'],
  ['/x/bin/tdmfctl.js checkpoint -off -a', 'checkpoint --off -a'],
  [
    '/x/bin/tdmfctl.js --home /h override -g 1 -state normal',
    '--home /h override -g 1 --state normal',
  ],
  ['/x/bin/tdmfctl.js override - clear BAB', 'override - clear BAB'],
  ['/x/bin/tdmfctl.js start -on', 'start -on'],
];
for (const [typed, verb] of lines) {
  test(`'${typed}' is '${verb}'`, (t) => {
    t.is(rewrite(['node', ...typed.split(' ')]).join(' '), verb);
  });
}

test('a complaint of the parser is one line in our style', (t) => {
  t.is(
    usageLine("error: unknown command 'statu'\n(Did you mean status?)\n"),
    "tdmfctl: unknown command 'statu' (Did you mean status?). See tdmfctl help.\n",
  );
});
