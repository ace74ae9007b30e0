/** The world an actor may reach, as one bundle: what a host hands to every actor it starts. */
import type { DeviceOpener } from './block-device.js';
import type { StreamOpener } from './byte-stream.js';
import type { FileStore } from './file-store.js';
import type { LinkDialer } from './link.js';
import type { LinkServer } from './link-server.js';

export interface Ports {
  readonly devices: DeviceOpener;
  readonly streams: StreamOpener;
  readonly files: FileStore;
  readonly dialer: LinkDialer;
  readonly links: LinkServer;
}
