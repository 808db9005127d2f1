/**
 * npm run bench:peers [-- --quick] [--peers service,fastapi-fp32,...] [--rounds 2] [--seconds 10] [--loads closed-8,open,mixed,large]
 *   [--model models/celeba-inpaint-64/6]
 *
 * The service beside other ways to serve the same weights, those in the folder --model, and beside the bare network. In each
 * round every peer is started, measured and stopped, one after the other, so that ratios compare what was measured in turns.
 * Prints Markdown. Linux only.
 */
import path from 'node:path';
import { parseArgs } from 'node:util';
import { measureBare } from './limit.ts';
import { type LoadName, type Measured, measure } from './measure.ts';
import { PEERS } from './peers.ts';
import { describeMachine, print, type Round } from './report.ts';

const { values } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    peers: { type: 'string', default: Object.keys(PEERS).join(',') },
    rounds: { type: 'string', default: '2' },
    seconds: { type: 'string' },
    loads: { type: 'string' },
    model: { type: 'string', default: 'models/celeba-inpaint-64/6' },
  },
});
const seconds = Number(values.seconds ?? (values.quick ? 5 : 10));
const loads = (
  values.loads ?? (values.quick ? 'closed-8' : 'closed-1,closed-2,closed-8,closed-32,open,mixed,large')
).split(',') as LoadName[];
const names = values.peers.split(',');
const model = path.resolve(values.model);
const options = { model, seconds, loads };

describeMachine(names);
const rounds: Round[] = [];
for (let i = 0; i < Number(values.rounds); i++) {
  const round = { limit: await measureBare(model, seconds), measured: new Map<string, Measured>() };
  for (const name of names) {
    const found = await measure(PEERS[name], options).catch((error: Error) => {
      console.error(`${name}: ${error.message}`);
    });
    if (found) round.measured.set(name, found);
  }
  rounds.push(round);
}
print(names, rounds);
process.exit(0); // clients of the last load may still wait
