/**
 * The file that Piscina loads in a host thread: one door, one long task. Everything is in host.ts;
 * this file only gives the task its name.
 */
export { runHost } from './host.js';
