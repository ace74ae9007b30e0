/** The regions against what Rule 18 says in words, under any order of events. */
import test from 'ava';
import fc from 'fast-check';
import { hotRegionsAhead } from '../../src/core/constants.js';
import { heat, Regions } from '../../src/core/engine/regions.js';

const counts = [12, 5];
const regionBytes = 100;

interface Write {
  readonly device: number;
  readonly offset: number;
  readonly length: number;
  started: boolean;
}

/** What the disk and the pstore would say, kept apart from the states. */
class World {
  readonly regions = new Regions(
    counts.map((count) => ({ regionBytes, count, hot: (region) => region === 1 })),
  );
  /** Durable in the pstore. */
  readonly hot = counts.map((count) => Array.from({ length: count }, (_, index) => index === 1));
  readonly writes: Write[] = [];
  /** Regions with data that no flush since has made durable. */
  readonly unflushed = counts.map(() => new Set<number>());
  readonly warming: number[][] = [];
  readonly cooling: number[][] = [];
  marked: { mark: number; regions: readonly number[] } | undefined;

  of({ device, offset, length }: Write): number[] {
    const first = Math.floor(offset / regionBytes);
    const last = Math.floor((offset + length - 1) / regionBytes);
    return Array.from({ length: last - first + 1 }, (_, index) => first + index).map((region) => {
      if (region >= counts[device]!) throw new Error('beside the device');
      return region;
    });
  }

  /** A write lands only where it is durably hot, and nothing that is being cooled. */
  start(write: Write): void {
    for (const region of this.of(write)) {
      if (!this.hot[write.device]![region]) throw new Error(`a write in cold region ${region}`);
      this.unflushed[write.device]!.add(region);
    }
    write.started = true;
  }
}

const range = {
  device: fc.nat({ max: 1 }),
  offset: fc.nat({ max: 1199 }),
  length: fc.integer({ min: 1, max: 1200 }),
};
const command = fc.oneof(
  fc.record({ do: fc.constant('write' as const), ...range }),
  fc.record({
    do: fc.constantFrom('end' as const, 'warmed' as const, 'failed' as const, 'cooled' as const),
    which: fc.nat(),
  }),
  fc.record({ do: fc.constantFrom('take' as const, 'mark' as const, 'flushed' as const) }),
);

test('H18: no write lands in a cold region, and nothing cools that a crash must find hot', (t) => {
  fc.assert(
    fc.property(fc.array(command, { maxLength: 120 }), (commands) => {
      const world = new World();
      const { regions } = world;
      for (const one of commands) step(world, one);
      // Liveness: what waits can always be made hot.
      while (world.cooling.length > 0) endCooling(world, 0);
      while (regions.wants || world.warming.length > 0) {
        if (regions.wants) world.warming.push([...regions.takeWanted(3)]);
        endWarming(world, 0, true);
      }
      for (const write of world.writes) {
        if (!write.started) regions.want(write.device, write.offset, write.length);
      }
      while (regions.wants) {
        world.warming.push([...regions.takeWanted(3)]);
        endWarming(world, 0, true);
      }
      for (const write of world.writes) {
        t.true(write.started || regions.isHot(write.device, write.offset, write.length));
      }
    }),
    { numRuns: 400 },
  );
});

type Command = typeof command extends fc.Arbitrary<infer T> ? T : never;

function step(world: World, one: Command): void {
  const { regions } = world;
  switch (one.do) {
    case 'write': {
      const { device, offset } = one;
      const length = Math.min(one.length, counts[device]! * regionBytes - offset);
      if (length <= 0) return;
      const write = { device, offset, length, started: false };
      world.writes.push(write);
      if (regions.pin(device, offset, length)) world.start(write);
      else regions.want(device, offset, length);
      break;
    }
    case 'end': {
      const started = world.writes.filter((write) => write.started);
      const write = started[one.which % Math.max(1, started.length)];
      if (write === undefined) return;
      world.writes.splice(world.writes.indexOf(write), 1);
      regions.unpin(write.device, write.offset, write.length);
      break;
    }
    case 'take':
      if (regions.wants) world.warming.push([...regions.takeWanted(3)]);
      break;
    case 'warmed':
    case 'failed':
      if (world.warming.length > 0) {
        endWarming(world, one.which % world.warming.length, one.do === 'warmed');
      }
      break;
    case 'mark':
      world.marked = regions.coolable(4);
      // The flush begins now: it covers what has completed by now.
      for (const set of world.unflushed) set.clear();
      for (const write of world.writes) {
        if (write.started)
          for (const region of world.of(write)) world.unflushed[write.device]!.add(region);
      }
      break;
    case 'flushed':
      if (world.marked === undefined) return;
      beginCooling(world);
      break;
    case 'cooled':
      if (world.cooling.length > 0) endCooling(world, one.which % world.cooling.length);
      break;
  }
}

function beginCooling(world: World): void {
  const { mark, regions: candidates } = world.marked!;
  world.marked = undefined;
  const cooling = [...world.regions.beginCooling(mark, candidates)];
  for (const region of cooling) {
    const device = world.regions.deviceOf(region);
    const index = world.regions.indexOf(region);
    for (const write of world.writes) {
      const held = write.device === device && world.of(write).includes(index);
      if (held) throw new Error('a pinned region cools');
    }
    if (world.unflushed[device]!.has(index)) throw new Error('an unflushed region cools');
    world.hot[device]![index] = false;
  }
  world.cooling.push(cooling);
}

function endCooling(world: World, which: number): void {
  world.regions.cooled(world.cooling.splice(which, 1)[0]!);
}

function endWarming(world: World, which: number, well: boolean): void {
  const { regions } = world;
  const batch = world.warming.splice(which, 1)[0]!;
  if (!well) {
    regions.failed(batch);
    // Whoever waits is refused.
    for (const write of world.writes.filter(({ started }) => !started)) {
      world.writes.splice(world.writes.indexOf(write), 1);
      regions.unpin(write.device, write.offset, write.length);
    }
    return;
  }
  for (const region of batch) {
    world.hot[regions.deviceOf(region)]![regions.indexOf(region)] = true;
  }
  regions.warmed(batch);
  for (const write of world.writes) {
    if (!write.started && regions.isHot(write.device, write.offset, write.length)) {
      world.start(write);
    }
  }
}

const sample = () => new Regions(counts.map((count) => ({ regionBytes, count, hot: () => false })));

test('a write that goes on where the region before ended heats those ahead, within its device', (t) => {
  const regions = sample();
  regions.want(0, 0, 1);
  t.deepEqual(regions.takeWanted(99), [0]);
  regions.warmed([0]);
  regions.want(0, 100, 1);
  t.is(regions.takeWanted(99).length, Math.min(hotRegionsAhead, counts[0]! - 1));
  regions.want(1, 0, 1);
  t.deepEqual(regions.takeWanted(99), [12], 'the last region of the device before is another one');
});

test('Rule 49: the longest unused cool first, pinned ones never', (t) => {
  const regions = sample();
  for (const region of [4, 2, 0]) {
    regions.want(0, region * regionBytes, 1);
    regions.warmed(regions.takeWanted(1));
  }
  regions.pin(0, 4 * regionBytes, 1);
  t.is(regions.hotCount, 3);
  const { mark, regions: found } = regions.coolable(2);
  t.deepEqual(found, [2, 0]);
  t.deepEqual(regions.beginCooling(mark, found), [2, 0]);
  t.is(regions.stateOf(0, 2), heat.cooling);
  t.false(regions.pin(0, 2 * regionBytes, 1), 'COOLING counts as cold');
  regions.want(0, 2 * regionBytes, 1);
  t.false(regions.wants);
  regions.cooled([2, 0]);
  t.deepEqual(regions.takeWanted(9), [2], 'wanted while it cooled: it is heated again');
  t.deepEqual(regions.coolable(9).regions, []);
});

test('H21: what was hot when a flush failed does not cool any more', (t) => {
  const regions = sample();
  for (const device of [0, 1]) {
    regions.want(device, 0, 1);
    regions.warmed(regions.takeWanted(1));
  }
  regions.keep(0);
  t.deepEqual(regions.coolable(9).regions, [12]);
});
