import path from 'node:path';
import { EngineError } from '../engine/engine.ts';
import { evaluationsOfFill } from '../generation/evaluations.ts';
import { refOf } from '../model/card.ts';
import { ModelFolderError, readModelCard } from '../model/folder.ts';
import { checkNetworks, filesIn, wrongFiles } from './checks.ts';
import { runCommand, UsageError } from './command.ts';

const USAGE = `Checks the folder of a model version, and says what keeps it from being served.

Usage:
  npm run check-model -- FOLDER
  node dist/cli/check-model.js FOLDER

FOLDER is <id>/<version> with a model.json and a unet.onnx, as docs/models.md
describes. The card is validated, sizes and digests are compared, the networks
are loaded on the CPU, and the base network is evaluated. Where sizes or
digests are wrong or missing, the section "files" is printed as it should be.

Options:
  -h, --help  Show this help.`;

/** The folder cannot be served as it is. */
class CheckFailedError extends Error {}

await runCommand(
  USAGE,
  async (args) => {
    if (args.length !== 1) throw new UsageError(`Expected one folder, not ${args.length}.`);
    const folder = path.resolve(args[0]);
    const files = await filesIn(folder).catch((error: Error) => {
      throw new UsageError(`${args[0]} cannot be read (${error.message}).`);
    });
    const complaints: string[] = [];
    const card = await readModelCard(folder).catch((error) => {
      if (!(error instanceof ModelFolderError)) throw error;
      complaints.push(error.message);
      return undefined;
    });
    const wrong = await wrongFiles(folder, files);
    complaints.push(...wrong);
    if (wrong.length > 0) complaints.push(`"files" should be: ${JSON.stringify(files, null, 2)}`);
    if (!card || complaints.length > 0) throw new CheckFailedError(complaints.join('\n'));

    const checked = await checkNetworks(folder, card);
    if (checked.wrong.length > 0) throw new CheckFailedError(checked.wrong.join('\n'));
    for (const line of checked.unusual) console.log(`warning: ${line}`);
    const { secondsPerEvaluation: seconds } = checked;
    const evaluations = evaluationsOfFill(card, card.defaults.steps);
    console.log(
      `${refOf(card)} can be served. An evaluation takes ${seconds.toPrecision(2)} s here, and a fill ` +
        `${(seconds * evaluations).toPrecision(2)} s (${evaluations} evaluations).`,
    );
  },
  [CheckFailedError, EngineError],
);
