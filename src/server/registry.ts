/** The kinds of actors that a host thread can start, by the name main uses. */
import { startDriver } from '../actors/driver.js';
import { startGroup } from '../actors/group.js';
import { startLinkHost } from '../actors/link-host.js';
import { startMirrorExport } from '../actors/mirror-export.js';
import { startPmd } from '../actors/pmd.js';
import { startReco } from '../actors/reco.js';

export const actors = {
  driver: startDriver,
  group: startGroup,
  linkHost: startLinkHost,
  mirrorExport: startMirrorExport,
  pmd: startPmd,
  reco: startReco,
};
