/** `info` as text is the manual's figure 3.12; what it does not know comes behind its lines. */
import test from 'ava';
import { infoText } from '../../../src/cli/commands/info.js';
import { infoOf, primaryOf, secondaryOf } from '../../helpers/infos.js';

const figure = `Requested BAB size ..... 67108864 (~ 64 MB)
Actual BAB size ..... 67108864 (~ 64 MB)
Logical Group 0 <pumbaa -> kali>
  Mode of operations..... Tracking
  Entries in the BAB..... 0
  Sectors in the BAB..... 0
  Sync/Async mode..... Sync
  Sync mode target depth..... 1
  Sync mode timeout..... 30
  Persistent Store..... /var/lib/tdmf/pstore
  Checkpoint State..... On
Device F:
  Local disk device number..... 0x1
  Local disk size (sectors)..... 2104448
  Local disk name..... /dev/f
  Remote mirror disk..... kali:/dev/h
  Read I/O count..... 152
  Total # of sectors read..... 1945
  Write I/O count..... 25
  Total # of sectors written..... 200
  Entries in the BAB..... 0
  Sectors in the BAB..... 0
`;

test('without our own lines it is the figure, word for word', (t) => {
  const sync = { mode: 'sync', depth: 1, timeoutSeconds: 30, degraded: false } as const;
  const text = infoText(infoOf(primaryOf({ mode: 'TRACKING', checkpoint: true, sync })));
  const ours = /^ {2}(?:Connection|Mirror state|Problem|What to do)\.\.\.\.\. .*\n/gm;
  t.is(text.replace(ours, ''), figure);
});

test('an asynchronous group has no depth and no timeout', (t) => {
  const text = infoText(infoOf(primaryOf()));
  t.regex(text, /Sync\/Async mode\.\.\.\.\. Async\n {2}Persistent Store/);
});

test('a group that is not started says so, and a problem says what to do', (t) => {
  const problem = { code: 'TDMF_CONFIG_MISSING', message: 'p000.cfg\nis gone', remedy: 'Mend it.' };
  const text = infoText(infoOf(primaryOf({ started: false, problem, devices: [] })));
  t.regex(text, /Mode of operations\.\.\.\.\. Not started/);
  t.regex(text, /Problem\.\.\.\.\. p000\.cfg is gone\n {2}What to do\.\.\.\.\. Mend it\./);
});

test('a secondary says its RMD, its journal and its mirrors', (t) => {
  const text = infoText(infoOf(secondaryOf()));
  t.regex(text, /Logical Group 0 <pumbaa -> kali> \(secondary\)\n {2}RMD\.\.\.\.\. MIRRORING/);
  t.regex(text, /Journal directory\.\.\.\.\. \/srv\/journal/);
  t.regex(text, /Mirror disk\.\.\.\.\. \/dev\/h/);
});

test('a secondary says whether its mirror is in the hands of others', (t) => {
  const since = '2026-11-22T15:58:02.123Z';
  const [device] = secondaryOf().devices;
  const text = infoText(
    infoOf(
      secondaryOf({
        ...{ checkpoint: true, reco: 'done' },
        ownChanges: { changes: 'known', bytes: 65_536, since },
        devices: [{ ...device!, uri: 'nbd+unix:///s0/F?socket=/s' }],
      }),
    ),
  );
  t.regex(text, /^ {2}Checkpoint State\.{5} On$/m);
  t.regex(text, /^ {2}Handed over \(reco\)\.{5} Yes$/m);
  t.regex(text, /^ {2}Changes on the mirror\.{5} 64\.0K \(since 2026-11-22T15:58:02\.123Z\)$/m);
  t.regex(text, /^ {2}Export\.{5} nbd\+unix:\/\/\/s0\/F\?socket=\/s$/m);
});
