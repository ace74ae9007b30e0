/** p###.cfg, s###.cfg and tdmf.cfg: what is right is read, what is wrong is named with its line. */
import test from 'ava';
import { isLoopback, parseGroupConfig } from '../../../src/config/group-config.js';
import { babMbMax, parseHostConfig } from '../../../src/config/host-config.js';
import { TdmfError } from '../../../src/core/errors.js';

const secret = Buffer.alloc(32, 7).toString('base64');
const good = `# mine
group: 0
note: oracle data
primary:   { host: alpha, pstore: pstore }
secondary: { host: beta, port: 5750, journal: /srv/jrn, chaining: false }
secret: ${secret}
devices:
  - { name: d0, data: /srv/a.img, mirror: /srv/b.img }
tunables: { CHUNKSIZE: 256 }
`;

const problemOf = (run: () => unknown): string => {
  try {
    run();
  } catch (error) {
    if (error instanceof TdmfError && error.code === 'TDMF_CONFIG_INVALID') return error.message;
    throw error;
  }
  return 'accepted';
};

test('the file of the contract is read', (t) => {
  const config = parseGroupConfig(good, 'p000.cfg');
  t.is(config.secondary.port, 5750);
  t.deepEqual(config.devices, [{ name: 'd0', data: '/srv/a.img', mirror: '/srv/b.img' }]);
  t.deepEqual(config.tunables, { CHUNKSIZE: 256 });
  t.false(isLoopback(config));
});

test('what may be left out has its default', (t) => {
  const text = good
    .replace(/port: 5750, /, '')
    .replace(/, chaining: false/, '')
    .replace(/^note.*\n/m, '')
    .replace(/^tunables.*\n/m, '');
  const config = parseGroupConfig(text, 'p000.cfg');
  t.is(config.secondary.port, 575);
  t.false(config.secondary.chaining);
  t.is(config.note, '');
});

const wrong: readonly (readonly [string, (text: string) => string, RegExp])[] = [
  ['a bracket too few', (s) => s.replace('{ host: alpha', '[ host: alpha'), /^p000\.cfg: line 4: /],
  ['a key twice', (s) => `${s}group: 1\n`, /line 10: Map keys must be unique$/],
  ['an unknown key', (s) => s.replace('journal:', 'jrnl:'), /line 5: secondary: unknown: jrnl/],
  [
    'a missing journal',
    (s) => s.replace(' journal: /srv/jrn,', ''),
    /line 5: .*journal: is missing/,
  ],
  [
    'a group above 999',
    (s) => s.replace('group: 0', 'group: 1000'),
    /line 2: group: .* at most 999/,
  ],
  ['a negative group', (s) => s.replace('group: 0', 'group: -1'), /line 2: group: .* at least 0/],
  [
    'a group that is text',
    (s) => s.replace('group: 0', 'group: x'),
    /line 2: group: must be a number/,
  ],
  [
    'a port of 70000',
    (s) => s.replace('5750', '70000'),
    /line 5: secondary\.port: .*at most 65535/,
  ],
  ['a short secret', (s) => s.replace(secret, 'abc'), /line 6: secret: the secret is 32 bytes/],
  [
    'no devices',
    (s) => s.replace(/devices:\n.*\n/, 'devices: []\n'),
    /line 7: devices: a group has/,
  ],
  [
    'devices that are no list',
    (s) => s.replace(/devices:\n.*\n/, 'devices: 3\n'),
    /must be a list/,
  ],
  [
    'a device twice',
    (s) => s.replace(/( {2}- .*\n)/, '$1$1'),
    /line 9: devices\.1\.name: d0 is named twice/,
  ],
  [
    'the same data under two names',
    (s) => s.replace(/( {2}- .*\n)/, '$1  - { name: d1, data: /srv/a.img, mirror: /srv/c.img }\n'),
    /line 9: devices\.1\.data: \/srv\/a\.img is named twice/,
  ],
  ['a slash in a name', (s) => s.replace('d0', 'd/0'), /line 8: devices\.0\.name: a device name/],
  [
    'a wrong cache',
    (s) => s.replace('b.img }', 'b.img, cache: x }'),
    /must be one of direct, writeback/,
  ],
  ['an empty file', () => '', /group: is missing; primary: is missing/],
  ['a list', () => '- 1\n', /must be a mapping/],
];
for (const [name, change, expected] of wrong) {
  test(`refused: ${name}`, (t) => {
    t.regex(
      problemOf(() => parseGroupConfig(change(good), 'p000.cfg')),
      expected,
    );
  });
}

test('no message shows the secret', (t) => {
  for (const [, change] of wrong) {
    t.false(problemOf(() => parseGroupConfig(change(good), 'p000.cfg')).includes(secret));
  }
});

test('an empty tdmf.cfg means the defaults', (t) => {
  t.like(parseHostConfig('# nothing\n', 'tdmf.cfg'), {
    bab: 64,
    port: 575,
    io: 'auto',
    hosts: 'auto',
    pstore: 'pstore',
  });
});

const wrongHost: readonly (readonly [string, RegExp])[] = [
  ['bab: 0', /tdmf\.cfg: line 1: bab: must be at least 1/],
  ['bab: lots', /line 1: bab: must be a number/],
  ['babb: 64', /line 1: unknown: babb/],
  ['port: 5\nio: fast', /line 2: io: must be one of auto, uring, threads/],
  ['hosts: 0', /line 1: hosts/],
];
for (const [text, expected] of wrongHost) {
  test(`refused in tdmf.cfg: ${JSON.stringify(text)}`, (t) => {
    t.regex(
      problemOf(() => parseHostConfig(text, 'tdmf.cfg')),
      expected,
    );
  });
}

test('the BAB may take half of the memory (MD 1)', (t) => {
  t.is(babMbMax(1024 * 2 ** 20), 512);
  t.is(babMbMax(1), 1);
});
