/**
 * Wakes a host thread. One bell per host; ringing is cheap when the host is awake. A ring that
 * happens after the host looked at its queues and before it sleeps is never missed.
 */
export interface Doorbell {
  ring(): void;
}
