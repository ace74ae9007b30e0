/**
 * The PMD's word to a driver whose writers wait for the secondary: `durable` has come to where the
 * first of them waits. At most one is under way: the driver hangs the bell up again (control block,
 * `syncBell`) when it has looked. In async mode it costs one load per acknowledgement.
 */
import type { GroupControlView } from '../core/bab/control.js';
import type { ActorContext } from './actor.js';
import type { DriverMessage } from './messages.js';
import { Outbox } from './outbox.js';

export class DriverBell {
  readonly #control: GroupControlView;
  readonly #driver: Outbox<DriverMessage>;

  constructor(context: ActorContext, control: GroupControlView, driverActor: string) {
    this.#control = control;
    const address = context.address<DriverMessage>(driverActor);
    this.#driver = new Outbox(address, context.clock, (run) => context.guard(run));
  }

  /** Behind every move of `durable`. */
  durableMoved(): void {
    if (this.#control.takeBell()) this.#driver.tell({ type: 'driver.acked' });
  }

  writable(): void {
    this.#driver.flush();
  }

  close(): void {
    this.#driver.close();
  }
}
