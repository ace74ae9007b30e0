/**
 * The pstore as a driver sees it: answers what is hot, and makes changes durable after a while, in the
 * simulated world. What is durable can be looked at; it can be slow, fail, or say nothing at all.
 */
import type { Address } from '../../src/actors/actor.js';
import {
  changesFrom,
  type HeatAnswer,
  type HeatChanges,
  type HeatOpen,
} from '../../src/actors/heat-messages.js';
import { TdmfError } from '../../src/core/errors.js';
import { heatGeometry } from '../../src/core/pstore/geometry.js';
import { HeatImage } from '../../src/core/pstore/heat-image.js';
import type { SimWorld } from '../../src/testing/world.js';

export class HeatPstore {
  images: HeatImage[] = [];
  /** Every question that changes something, oldest first. */
  readonly asked: HeatChanges[] = [];
  broken = false;
  silent = false;
  /** Called when a change has become durable. */
  changed: (() => void) | undefined;
  readonly #world: SimWorld;
  #token = 0;

  constructor(world: SimWorld) {
    this.#world = world;
  }

  address(): Address<never> {
    return { id: 'pstore', tell: () => false, ask: (question) => this.#ask(question) as never };
  }

  async #ask(question: unknown): Promise<unknown> {
    const asked = question as HeatOpen | HeatChanges;
    if (asked.kind === 'pstore.heat.open') return this.#open(asked);
    this.asked.push(asked);
    await new Promise<void>((resolve) => {
      this.#world.soon(3, 'pstore', resolve);
    });
    if (this.silent) return new Promise(() => {});
    if (this.broken) throw new TdmfError('TDMF_PSTORE_FAILED', { path: '/pstore', errno: 5 });
    if (asked.token !== this.#token) throw new TdmfError('TDMF_ACTOR_GONE', { actor: 'driver' });
    for (const { device, changes } of changesFrom(asked.changes)) {
      this.images[device]!.apply(changes);
    }
    this.changed?.();
    return undefined;
  }

  #open({ devices, regionMin }: HeatOpen): HeatAnswer {
    this.#token++;
    for (const [index, { name, sizeBytes }] of devices.entries()) {
      const geometry = heatGeometry(sizeBytes, regionMin ?? undefined);
      this.images[index] ??= new HeatImage(name, geometry);
    }
    return {
      token: this.#token,
      devices: this.images.map(({ geometry, hot, kept }) => ({
        ...geometry,
        hot: hot.slice(),
        kept,
      })),
    };
  }
}
