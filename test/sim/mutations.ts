/**
 * Mistakes that the simulator must notice, each an exact text of the built product and what it is
 * replaced with. A text that is not found any more is an error: the list follows the product.
 * `sweeps` says where to look (testing/sweep.ts), in this order, until something fails.
 */
export interface Mutation {
  readonly name: string;
  /** The rule of correctness.md that it breaks. */
  readonly rule: string;
  /** Below dist/src. */
  readonly file: string;
  readonly edits: readonly (readonly [from: string, to: string])[];
  readonly sweeps: readonly string[];
  /** Not run by `npm test`. */
  readonly slow?: boolean;
  /** Why nothing catches it yet: then it is made only when asked for by name. */
  readonly open?: string;
}

const seeds = 'seed=1..64';
const frozen = 'story=frozen strike=load.hotBurst@refresh-900..refresh+40/20';
const overflow = 'story=overflow strike=load.burst@refresh-200..refresh+30/2';

export const mutations: readonly Mutation[] = [
  {
    name: 'no second mark',
    rule: 'Rule 2',
    file: 'core/engine/write-tracker.js',
    edits: [
      [
        `        if ((duties & duty.mark) !== 0)
            this.#mark(slot);
        if ((duties & duty.append) === 0)`,
        `        if ((duties & duty.append) === 0)`,
      ],
    ],
    sweeps: ['seed=1..40 faults=operator.launchrefresh', seeds],
  },
  {
    name: 'no grace',
    rule: 'Rule 3',
    file: 'actors/driver.js',
    edits: [
      [
        `        this.#writes.fences.put('grace', token);`,
        `        this.#tracker.graced(token);
        const sequence = this.#writer.control.stamped;
        this.#facts.fact({ type: 'driver.graced', token, sequence });`,
      ],
    ],
    sweeps: ['seed=1..40 faults=operator.launchrefresh', seeds],
  },
  {
    name: 'the commit applies .i and .c side by side',
    rule: 'Rule 4',
    file: 'actors/chain-applier.js',
    edits: [
      [
        `            await (await ImageReader.open(opener, device, sizes)).apply(mirror);
        }
        finally {
            await first.file.release();
        }`,
        `            const image = await ImageReader.open(opener, device, sizes);
            void image.apply(mirror).finally(() => first.file.release());
        }
        finally {
        }`,
      ],
    ],
    sweeps: ['seed=1..40 faults=operator.launchrefresh', seeds],
  },
  {
    name: 'no marks in phase b',
    rule: 'Rule 5',
    file: 'core/engine/write-tracker.js',
    edits: [[`(mark ? duty.mark : 0)`, `(mark && !append ? duty.mark : 0)`]],
    sweeps: ['seed=1..40 faults=operator.launchrefresh,load.burst', seeds],
  },
  {
    name: 'any commit clears the map',
    rule: 'Rule 6',
    file: 'core/engine/write-tracker.js',
    edits: [
      [
        `        if (!this.appending || !this.#graces.has(graceToken))
            return false;`,
        `        if (!this.appending || !this.#graces.has(graceToken)) {
            for (const map of this.maps)
                map.clearAll();
            return false;
        }`,
      ],
    ],
    sweeps: ['seed=1..40 faults=operator.launchrefresh,load.hotBurst', seeds],
    open: 'a full refresh follows every overflow and sends everything again',
  },
  {
    name: 'resume at durable instead of applied',
    rule: 'Rule 7a',
    file: 'core/journal/recovery.js',
    edits: [[`const position = Math.max(durable, applied ?? 0);`, `const position = durable;`]],
    sweeps: ['seed=1..40 faults=secondary.kill', seeds],
  },
  {
    name: 'applied is recorded before it is complete',
    rule: 'Rule 7a',
    file: 'actors/mirror-lane.js',
    edits: [[`this.#events.record(apply.applied);`, `this.#events.record(apply.received);`]],
    sweeps: ['seed=1..40 faults=secondary.kill', seeds],
    open: '25 seeds saw it before all journals became one chain, none since: to be looked into',
  },
  {
    name: 'a rewound mirror is called coherent',
    rule: 'Rule 27',
    file: 'core/journal/recovery.js',
    edits: [
      [
        `const state = rewound && record.state === 'coherent' ? 'incoherent' : record.state;`,
        `const state = record.state;`,
      ],
    ],
    sweeps: ['seed=1..40 faults=secondary.powerCut', seeds],
  },
  {
    name: 'no overlap check in the RMD',
    rule: 'Rule 1a',
    file: 'core/engine/apply.js',
    edits: [[`from < this.#to[other] &&`, `from < 0 &&`]],
    sweeps: ['seed=6', seeds],
  },
  {
    name: 'the RMD ignores dep',
    rule: 'correctness.md 5',
    file: 'core/engine/apply.js',
    edits: [[`if (this.#dep[slot] > this.recorded)`, `if (this.#dep[slot] < 0)`]],
    sweeps: [seeds],
  },
  {
    name: 'no range locks in the driver',
    rule: 'H1',
    file: 'core/engine/range-locks.js',
    edits: [
      [
        `        let blockers = 0;`,
        `        let blockers = 0;\n        this.#heads[device] = none;`,
      ],
    ],
    sweeps: ['seed=6', seeds],
  },
  {
    name: 'early unlock: the range is given back before the failed write is read back',
    rule: 'H1, Rule 20',
    file: 'actors/driver-writes.js',
    edits: [
      [
        `            this.#stages[slot] = stage.readBack;
`,
        `            this.#stages[slot] = stage.readBack;
            const early = this.#locks.release(slot);
            for (let index = 0; index < early; index++)
                this.#start(this.#locks.granted[index]);
            this.#locks.acquire(slot, index, 1e15 + slot * 1e6, 1);
`,
      ],
    ],
    sweeps: ['story=small strike=local.error@25..all/3', 'seed=1..40 faults=local.error'],
    open: 'a read-back that races with an overlapping write is too rare',
  },
  {
    name: 'a failed write is not read back',
    rule: 'Rule 20',
    file: 'actors/driver-writes.js',
    edits: [
      [`if (!this.#appends(slot)) {`, `if (payload !== undefined || !this.#appends(slot)) {`],
    ],
    sweeps: ['seed=1..40 faults=local.error', seeds],
  },
  {
    name: 'ack before the commit record',
    rule: 'Rule 24',
    file: 'actors/mirror-refresh.js',
    edits: [
      [
        `        await chain.commit(files, stream,`,
        `        events.committed(this.refreshId, era, mark.mark);
        await chain.commit(files, stream,`,
      ],
      [
        `        this.#committed(mark.mark);
        events.committed(this.refreshId, era, mark.mark);`,
        `        this.#committed(mark.mark);`,
      ],
    ],
    sweeps: ['seed=1..40 faults=operator.launchrefresh,secondary.kill', seeds],
    slow: true,
  },
  {
    name: 'a committed .i is not applied',
    rule: 'Rule 24',
    file: 'actors/chain-applier.js',
    edits: [[`(await ImageReader.open(opener, device, sizes)).apply(mirror);`, `undefined;`]],
    sweeps: ['seed=1..40 faults=operator.launchrefresh', seeds],
  },
  {
    name: 'entries are released when applied, not when durable',
    rule: 'I4',
    file: 'core/engine/drain.js',
    edits: [
      [
        `const durable = Math.max(ack.durable, this.#durableBase);`,
        `const durable = Math.max(ack.applied, this.#durableBase);`,
      ],
    ],
    sweeps: [seeds],
  },
  {
    name: 'a flush proves what was applied while it ran',
    rule: 'Rule 24, H21',
    file: 'actors/mirror-core.js',
    edits: [
      [
        `            await this.madeDurable(covers);
            await this.#closeWindow(covers);`,
        `            await this.madeDurable(this.entries.apply.applied);
            await this.#closeWindow(covers);`,
      ],
    ],
    sweeps: [seeds],
  },
  {
    name: 'durable is told before the page is synced',
    rule: 'I4',
    file: 'actors/rmd-record.js',
    edits: [[`        await this.#durablePage.sync();\n    }`, `    }`]],
    sweeps: [seeds],
  },
  {
    name: 'the journal goes before the mirror is flushed',
    rule: 'Rule 24',
    file: 'actors/chain-applier.js',
    edits: [
      [
        `        await this.#flush(mirror);
        const { era, segment } = chain.files[0].header;`,
        `        const { era, segment } = chain.files[0].header;`,
      ],
    ],
    sweeps: ['story=refresh strike=secondary.powerCut@120..refresh', seeds, overflow],
  },
  {
    name: 'a failed flush of the mirror is forgotten',
    rule: 'Rule 21',
    file: 'actors/mirror.js',
    edits: [[`return this.#flushError;`, `return undefined;`]],
    sweeps: ['seed=1..40 faults=mirror.error', seeds],
  },
  {
    name: 'blocks of a lost link are not sent again',
    rule: 'R3',
    file: 'core/engine/refresh.js',
    edits: [
      [
        `this.records.giveBack((device, first, count) => this.giveBack(device, first, count, false));`,
        `this.records.giveBack(() => undefined);`,
      ],
    ],
    sweeps: ['seed=1..40 faults=link.cut', seeds],
  },
  {
    name: 'the frozen rest of an aborted phase b is forgotten',
    rule: 'R9',
    file: 'core/engine/refresh.js',
    edits: [
      [
        `moveBits(this.#frozen[device], todo);`,
        `moveBits(this.#frozen[device], this.#frozen[device]);`,
      ],
    ],
    sweeps: [frozen, seeds, overflow],
    open: 'a burst writes every block of the frozen rest again',
  },
  {
    name: 'append begins again in an era that overflowed',
    rule: 'T2, Rule 8a',
    file: 'core/engine/write-tracker.js',
    edits: [[`if (append && !this.appending && !this.#eraOpen) {`, `if (append && !append) {`]],
    sweeps: ['seed=1..40 faults=load.burst,primary.thread,load.burst', seeds],
    open: 'the driver dies too seldom between an overflow and the news of it',
  },
  {
    name: 'writes in flight of a dead driver are forgotten',
    rule: 'Rule 23',
    file: 'actors/driver-recovery.js',
    edits: [
      [
        `if (slots.dutiesOf(slot) !== 0 && !(await publishFound(slot, options)))`,
        `if (slots.dutiesOf(slot) < 0)`,
      ],
    ],
    sweeps: ['seed=1..40 faults=primary.thread', seeds],
  },
  {
    name: 'an overflow forgets the writes in flight',
    rule: 'T2',
    file: 'core/engine/write-tracker.js',
    edits: [
      [
        `            this.#mark(slot);
            this.writer.demote(slot);`,
        `            this.writer.demote(slot);`,
      ],
    ],
    sweeps: ['seed=1..40 faults=load.hotBurst', seeds],
    open: 'a full refresh follows every overflow and sends everything again',
  },
  {
    name: 'regions cool without a flush',
    rule: 'Rule 18',
    file: 'actors/driver-heat.js',
    edits: [[`this.#options.devices[index].device.flush(sink, 0);`, `sink.completed(0, 0);`]],
    sweeps: [seeds],
  },
  {
    name: 'a region cools without its map bits',
    rule: 'Rule 18',
    file: 'actors/driver-heat.js',
    edits: [[`            this.#addDirt(deviceOf, indexOf);\n`, ``]],
    sweeps: ['seed=1..40 faults=load.burst', seeds],
  },
  {
    name: 'entries of the BAB do not pin their regions',
    rule: 'Rule 18',
    file: 'actors/driver-heat.js',
    edits: [
      [
        `hold: (device, offset, length) => void this.#regions.pin(device, offset, length),
        release: (device, offset, length) => this.#regions.unpin(device, offset, length),`,
        `hold: () => undefined,
        release: () => undefined,`,
      ],
    ],
    sweeps: [seeds],
  },
  {
    name: 'a write does not wait for its region to be hot',
    rule: 'Rule 18',
    file: 'actors/driver-heat.js',
    edits: [
      [
        `        this.#waiting.push({ write, device, offset, length });
        if (this.#late) {`,
        `        this.#regions.want(device, offset, length);
        this.#ask();
        if (write >= 0)
            return true;
        if (this.#late) {`,
      ],
    ],
    sweeps: [seeds],
  },
  {
    name: 'a commit leaves the mirror cleanly closed',
    rule: 'Rule 27',
    file: 'actors/rmd-record.js',
    edits: [[`...(record.record.checkpoint === 'off' && { clean: false }),`, ``]],
    sweeps: ['seed=1..64 faults=primary.kill,secondary.powerCut,secondary.rollback', 'seed=1..100'],
    slow: true,
  },
  {
    name: 'sync mode does not wait for the secondary',
    rule: 'I2',
    file: 'actors/driver-sync.js',
    edits: [["if (!reached(control.cursor('durable'), until))", 'if (!request)']],
    sweeps: [seeds],
  },
  {
    name: 'sync mode does not wait for the local flush',
    rule: 'Rule 19',
    file: 'actors/driver-sync.js',
    edits: [['if (!request.fua)', 'if (!request)']],
    sweeps: [seeds],
    slow: true,
  },
];
