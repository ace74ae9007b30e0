/**
 * The operator of one simulated group: looks at its status every now and then, and types what a status
 * page would suggest. He obeys refusals. How long he lets the group help itself first is drawn.
 */
import type { GroupStatus } from '../actors/group-status.js';
import type { SimCluster } from './cluster.js';
import type { Prng } from './prng.js';

export interface OperatorOptions {
  /** How often he looks. */
  readonly lookMs: number;
  /** How long a group may wait before he helps. */
  readonly patienceMs: number;
}

export class Operator {
  /** Everything must end well now: whatever still waits is his. */
  healing = false;
  readonly #cluster: SimCluster;
  readonly #group: number;
  readonly #options: OperatorOptions;
  readonly #chance: Prng;
  #waitingSince: number | undefined;

  constructor(cluster: SimCluster, group: number, options: OperatorOptions, chance: Prng) {
    this.#cluster = cluster;
    this.#group = group;
    this.#options = options;
    this.#chance = chance;
  }

  async run(): Promise<void> {
    for (;;) {
      await this.#cluster.sleep(1 + this.#chance.below(this.#options.lookMs));
      const status = await this.#cluster.primary.status(this.#group);
      if (status !== undefined) await this.#look(status);
    }
  }

  async #look(status: GroupStatus): Promise<void> {
    const waits = status.mode === 'PASSTHRU' || status.mode === 'TRACKING';
    if (status.connection === 'ACCUMULATE' && (this.healing || !waits))
      await this.#type('launchpmd');
    // What a secondary has refused stays refused until somebody decides.
    const refused = status.problem !== null && status.connection !== 'CONNECTED';
    if (!waits && !(refused && this.healing)) {
      this.#waitingSince = undefined;
      return;
    }
    const { now } = this.#cluster.world;
    this.#waitingSince ??= now;
    // Nobody but he ends PASSTHRU; a group in TRACKING may be about to help itself.
    const patienceMs = status.mode === 'PASSTHRU' ? 0 : this.#options.patienceMs;
    if (now - this.#waitingSince < (refused ? refusedMs : patienceMs)) return;
    this.#waitingSince = undefined;
    // A refresh that the secondary refuses goes on waiting for it: another one must be ordered.
    if (refused && status.mode === 'REFRESH') await this.#type('killrefresh');
    await this.#type('launchrefresh', { kind: 'full' });
  }

  #type(verb: string, args: Readonly<Record<string, unknown>> = {}): Promise<void> {
    return this.#cluster.operator(this.#group, verb, args);
  }
}

/** A link that was cut for a moment is no refusal. */
const refusedMs = 8000;
