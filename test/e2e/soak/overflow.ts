/**
 * A BAB of 8 MB against sustained 64 KiB random writes over a link of 20 MB/s, which is then freed:
 * overflow, TRACKING, REFRESH, NORMAL, without help. What the application feels is measured beside
 * the same load at the same pace without any change of mode (PASSTHRU), and with a link that is down, because a machine stalls by itself, too: what counts is what the changes add.
 */
import type { TdmfEvents } from '../../../src/events.js';
import { eventually } from '../../helpers/daemon.js';
import { Chance, moment } from '../helpers/chance.js';
import { NbdDevice } from '../helpers/nbd-device.js';
import { Pair } from '../helpers/pair.js';
import { StampWriter } from '../helpers/stamp-writer.js';
import { type Figures, quantile, type Soak, whenProgram } from './program.js';

const deviceBytes = 128 * 2 ** 20;
const linkBytesPerSecond = 20e6;
/** 40 MB/s: twice what the link takes. */
const perSecond = 610;
/** A stall is caused by a change of mode when it is this near to one. */
const nearMs = 500;

interface Sample {
  readonly at: number;
  readonly milliseconds: number;
}

interface ModeChange {
  readonly at: number;
  readonly from: string;
  readonly to: string;
}

export const overflow: Soak = async (scope, { rounds, seed, tell }) => {
  const chance = new Chance(seed);
  const pair = await Pair.create(scope, { devices: { d0: deviceBytes }, babMb: 8 });
  await pair.begin({ refresh: false });
  const device = await NbdDevice.open(pair.primary.home);
  scope.defer(() => device.close());
  let samples: Sample[] = [];
  const writer = new StampWriter({
    device,
    chance,
    bytes: deviceBytes,
    blockBytes: 65_536,
    depth: 4,
    perSecond,
    onLatency: (milliseconds, at) =>
      samples.push({ milliseconds, at: at + performance.timeOrigin }),
  });
  const rows: Figures[] = [];
  const measured = async (name: string, run: () => Promise<void>) => {
    samples = [];
    const began = Date.now();
    writer.run();
    await run();
    await writer.pause();
    const changes = (await modeChanges(pair)).filter(({ at }) => at >= began);
    rows.push(row(name, samples, changes));
    tell(`${name}: ${changes.map(({ to }) => to).join(' ')}`);
    return changes;
  };

  const seconds = 4;
  await measured('PASSTHRU', () => moment(seconds * 1000));
  await pair.primary.control('launchrefresh', '-f', '-g', '0');
  await pair.normal();
  await pair.primary.control('killpmd', '-g', '0');
  await measured('link down', () => moment(seconds * 1000));
  await pair.primary.control('launchpmd', '-g', '0');
  await pair.normal();
  for (let round = 0; round < rounds; round++) {
    const changes = await measured('link limited, then freed', async () => {
      pair.proxy.bytesPerSecond = linkBytesPerSecond;
      await eventually(async () => (await pair.state())?.mode !== 'NORMAL', 'the overflow');
      await moment(seconds * 1000);
      pair.proxy.bytesPerSecond = Infinity;
      await pair.normal(180_000);
    });
    for (const mode of ['TRACKING', 'REFRESH', 'NORMAL']) {
      if (!changes.some(({ to }) => to === mode)) throw new Error(`${mode} was not reached`);
    }
    await pair.drained();
    await pair.equal();
    const wrong = writer.wrongIn(pair.devices[0]!.local);
    if (wrong.length > 0) throw new Error(wrong.slice(0, 5).join('; '));
  }
  return rows.map((one) => ({ ...one, 'ordered by hand': pair.orders }));
};

function row(name: string, samples: readonly Sample[], changes: readonly ModeChange[]): Figures {
  const all = samples.map(({ milliseconds }) => milliseconds);
  const near = samples.filter(({ at, milliseconds }) =>
    changes.some((change) => change.at > at - nearMs && change.at < at + milliseconds + nearMs),
  );
  const nearMsAll = near.map(({ milliseconds }) => milliseconds);
  const far = samples.filter((sample) => !near.includes(sample));
  const shown = (value: number) => value.toFixed(1);
  return {
    load: name,
    writes: samples.length,
    'mode changes': changes.length,
    'p99 ms': shown(quantile(all, 0.99)),
    'max ms': shown(Math.max(0, ...all)),
    'p99 near a change': shown(quantile(nearMsAll, 0.99)),
    'max near a change': shown(Math.max(0, ...nearMsAll)),
    'max elsewhere': shown(Math.max(0, ...far.map(({ milliseconds }) => milliseconds))),
    'stalls > 100 ms near a change': nearMsAll.filter((value) => value > 100).length,
  };
}

/** In the order in which they happened, since the group was started. */
async function modeChanges(pair: Pair): Promise<ModeChange[]> {
  const lines = (await pair.primary.control('events', '--since', '0', '--json')).split('\n');
  return lines
    .filter((line) => line.includes('"mode.changed"'))
    .map((line) => JSON.parse(line) as TdmfEvents['mode.changed'] & { at: number });
}

await whenProgram(import.meta.filename, 5, overflow);
