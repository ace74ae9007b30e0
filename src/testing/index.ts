/**
 * `tdmf/testing`: the simulated world and the contract suites, for programs that embed TDMF and for
 * those who bring a device or a link of their own. Re-exports only.
 */
export { blockDeviceContract } from './contracts/block-device.js';
export { byteStreamContract } from './contracts/byte-stream.js';
export { linkContract } from './contracts/link.js';
export { SimDisk } from './disk.js';
export { SimNetwork } from './link.js';
export { SimNode } from './node.js';
export { Prng } from './prng.js';
export { runSeed, type SimResult } from './scenario.js';
export { SimWorld } from './world.js';
