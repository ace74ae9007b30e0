/** A worker whose ring has nothing to do: it must end by itself. */
import { openIo } from '../../../src/io/open-io.js';

openIo('uring');
