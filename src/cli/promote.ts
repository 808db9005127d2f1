/**
 * npm run promote -- celeba-inpaint-64@2 and npm run rollback (in a container: node dist/cli/promote.js promote ...): say
 * in serving.json which model serves. Running services follow it without a restart.
 */
import { ConfigError, readConfig } from '../config/read.ts';
import { ModelFolderError } from '../model/folder.ts';
import { SplitError } from '../model/traffic-split.ts';
import { promote, rollBack, servingFileIn } from '../registry/promotions.ts';

const USAGE = 'say promote <id>@<version>, promote <id>@1:90,@2:10 or rollback';

try {
  const [command, reference] = process.argv.slice(2);
  const { MODEL_DIR: modelDir, SERVING_FILE, DEFAULT_MODEL, RELOAD_INTERVAL_MS } = readConfig(process.env);
  const place = { modelDir, file: SERVING_FILE ?? servingFileIn(modelDir) };
  let serves = reference;
  if (command === 'promote' && reference) await promote(place, reference);
  else if (command === 'rollback' && !reference) serves = await rollBack(place);
  else throw new ConfigError(USAGE);
  console.log(
    `${place.file}: ${serves} serves; running services follow within ${RELOAD_INTERVAL_MS} ms, or on SIGHUP.`,
  );
  if (DEFAULT_MODEL) console.log('But DEFAULT_MODEL is set, and goes before the file: unset it.');
} catch (error) {
  const expected = [ConfigError, ModelFolderError, SplitError].some((of) => error instanceof of);
  console.error(expected ? (error as Error).message : error);
  process.exit(1);
}
