/**
 * `tdmf/testing`: the simulated world as a library. The fakes keep the promises of the ports, so
 * whatever runs on them meets the weather that the product's own tests run in.
 */
export { SimActors } from './actors.js';
export { SimCluster } from './cluster.js';
export { type ClusterOptions, smallCluster } from './cluster-options.js';
export { SimDisk, type SimDiskOptions } from './disk.js';
export { type Cause, type DeviceHistory, History, type Write } from './history.js';
export { SimEndpoint, SimLink, SimNetwork } from './link.js';
export { NbdClient, type NbdOutcome, type NbdRequest, nbdCommand } from './nbd-client.js';
export { SimNode, SimProcess } from './node.js';
export { Prng } from './prng.js';
export { runScenario, runSeed, Scenario, type SimFailure, type SimResult } from './scenario.js';
export { SimStream } from './stream.js';
export {
  drawSwarm,
  type FaultKind,
  faultKinds,
  type SwarmOptions,
  smallSwarm,
} from './swarm.js';
export { Workload, type WorkloadKind, type WriterOptions } from './workload.js';
export { LateError, SimWorld } from './world.js';
