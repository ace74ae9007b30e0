/**
 * The lineage table explored before anything else relies on it (correctness.md 6): every sequence of
 * events up to a depth, and long random ones, in the little world of test/helpers/lineage-world.ts. At
 * every step: nothing automatic overwrites what only the mirror has (I19, Rule 9b), what is called equal
 * is equal (I5), NORMAL beside a coherent mirror means equal (I8), and there is a command that leads out.
 */
import test from 'ava';
import {
  Broken,
  connect,
  connectDeaf,
  crashA,
  decisionOf,
  firstWorld,
  isNormal,
  nameless,
  type Order,
  overflow,
  overrideNormal,
  passthru,
  powerCutB,
  recoB,
  recoEnds,
  rollBackA,
  rollBackB,
  type World,
  writeA,
  writeB,
} from '../helpers/lineage-world.js';

interface Event {
  readonly name: string;
  readonly possible: (world: World) => boolean;
  readonly happen: (world: World) => World;
}

const free = ({ b }: World) => !b.reco;
const entriesMax = 2;

const commands = ['smart', 'checksum', 'full', 'back'] as const;

const events: readonly Event[] = [
  ...[0, 1].map((block) => ({
    name: `A writes ${block}`,
    possible: ({ a }: World) => a.entries.length < entriesMax,
    happen: (world: World) => writeA(world, block),
  })),
  { name: 'overflow', possible: ({ a }) => a.mode === 'normal', happen: overflow },
  { name: 'A crashes', possible: ({ a }) => a.mode !== 'passthru', happen: crashA },
  { name: 'override passthru', possible: ({ a }) => a.mode === 'tracking', happen: passthru },
  { name: 'override normal', possible: ({ a }) => a.mode !== 'normal', happen: overrideNormal },
  {
    name: 'image of A',
    possible: ({ oldA }) => oldA === undefined,
    happen: (world) => ({ ...world, oldA: world.a }),
  },
  {
    name: 'A is rolled back',
    possible: ({ oldA }) => oldA !== undefined && oldA.mode !== 'passthru',
    happen: rollBackA,
  },
  {
    name: 'B loses power',
    possible: ({ b }) => b.unflushed.length > 0 && !b.reco,
    happen: (world) => powerCutB(world, false),
  },
  {
    name: 'B loses power, torn',
    possible: ({ b }) => b.unflushed.length > 1 && !b.reco,
    happen: (world) => powerCutB(world, true),
  },
  { name: 'reco', possible: ({ b }) => !b.reco && b.state === 'coherent', happen: recoB },
  { name: 'reco ends', possible: ({ b }) => b.reco, happen: recoEnds },
  {
    name: 'B writes',
    possible: ({ b }) => b.position !== undefined,
    happen: (world) => writeB(world, 0, true),
  },
  {
    name: 'B writes, nobody knows',
    possible: ({ b }) => b.position !== undefined,
    happen: (world) => writeB(world, 1, false),
  },
  {
    name: 'image of B',
    possible: ({ oldB, b }) => oldB === undefined && !b.reco,
    happen: (world) => ({ ...world, oldB: world.b }),
  },
  { name: 'B is rolled back', possible: ({ oldB }) => oldB !== undefined, happen: rollBackB },
  { name: 'connect', possible: free, happen: (world) => connect(world, undefined, 99, true) },
  {
    name: 'connect, one entry',
    possible: (world) => free(world) && world.a.entries.length > 0,
    happen: (world) => connect(world, undefined, 1, false),
  },
  {
    name: 'connect, no flush',
    possible: (world) => free(world) && world.a.entries.length > 0,
    happen: (world) => connect(world, undefined, 99, false),
  },
  { name: 'connect, deaf', possible: free, happen: (world) => connectDeaf(world, undefined) },
  { name: 'order smart, deaf', possible: free, happen: (world) => connectDeaf(world, 'smart') },
  ...commands.map((order) => ({
    name: `order ${order}`,
    possible: free,
    happen: (world: World) => connect(world, order, 99, true),
  })),
];

/** Whatever has happened, some command brings NORMAL back (I14). */
function hasWayOut(world: World): boolean {
  const ready = world.b.reco ? recoEnds(world) : world;
  return [undefined, ...commands].some((order: Order) => {
    const decision = decisionOf(ready, order);
    if (decision.action === 'wait' || decision.action === 'refuse') return false;
    return isNormal(connect(ready, order, 99, true));
  });
}

/** A step, and the story so far when it breaks a promise. */
function step(world: World, { happen }: Event, story: () => string): World {
  try {
    const next = happen(world);
    if (!hasWayOut(next)) throw new Broken('no command leads out');
    return next;
  } catch (error) {
    if (error instanceof Broken) error.message += `\n  ${story()}`;
    throw error;
  }
}

interface Node {
  readonly world: World;
  readonly from: Node | undefined;
  readonly by: string;
}

function storyOf(node: Node | undefined, last: string): string {
  const names = [last];
  for (let at = node; at?.from !== undefined; at = at.from) names.unshift(at.by);
  return names.join('\n  ');
}

/** Every world within `depth` events; how many there are. */
function explore(start: World, depth: number): number {
  const known = new Set([nameless(start)]);
  let edge: Node[] = [{ world: start, from: undefined, by: '' }];
  for (let round = 0; round < depth; round += 1) {
    const next: Node[] = [];
    for (const node of edge) {
      for (const event of events) {
        if (!event.possible(node.world)) continue;
        const world = step(node.world, event, () => storyOf(node, event.name));
        const key = nameless(world);
        if (known.has(key)) continue;
        known.add(key);
        next.push({ world, from: node, by: event.name });
      }
    }
    edge = next;
  }
  return known.size;
}

test('every way of up to four events from the beginning keeps the promises (I5, I8, I19)', (t) => {
  t.true(explore(firstWorld(), 4) > 100);
});

test('every way of up to five events from NORMAL keeps the promises (I5, I8, I19)', (t) => {
  const normal = connect(firstWorld(), 'full', 0, true);
  t.true(isNormal(normal));
  t.true(explore(normal, 5) > 10_000);
});

for (const seed of [1, 2, 3, 4]) {
  test(`long stories keep the promises, seed ${seed}`, (t) => {
    let state = seed;
    const below = (limit: number): number => {
      state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
      return (state >>> 8) % limit;
    };
    for (let run = 0; run < 500; run += 1) {
      let world = connect(firstWorld(), 'full', 0, true);
      const names: string[] = [];
      for (let at = 0; at < 20; at += 1) {
        const possible = events.filter((event) => event.possible(world));
        const event = possible[below(possible.length)]!;
        names.push(event.name);
        world = step(world, event, () => names.join('\n  '));
      }
    }
    t.pass();
  });
}
