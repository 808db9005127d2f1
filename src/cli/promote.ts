import { ConfigError, readConfig } from '../config/read.ts';
import { ModelFolderError } from '../model/folder.ts';
import { SplitError } from '../model/traffic-split.ts';
import { promote, rollBack, servingFileIn } from '../registry/promotions.ts';
import { runCommand, UsageError } from './command.ts';

const USAGE = `Sets the model version that serves requests which name no model.

Usage:
  npm run promote -- ID@VERSION          Serve this version.
  npm run promote -- ID@1:90,@2:10       Split the requests between versions, by weight.
  npm run rollback                       Undo the last promotion.
  node dist/cli/promote.js promote ID@VERSION
  node dist/cli/promote.js rollback

The versions are verified first. The choice and its history are written to
SERVING_FILE, or serving.json in MODEL_DIR. Running services follow the file
without a restart. All settings are read from the environment.

Options:
  -h, --help  Show this help.`;

await runCommand(
  USAGE,
  async ([command, ...references]) => {
    const config = readConfig(process.env);
    const { MODEL_DIR: modelDir, SERVING_FILE, DEFAULT_MODEL, RELOAD_INTERVAL_MS } = config;
    const target = { modelDir, file: SERVING_FILE ?? servingFileIn(modelDir) };
    let promoted: string;
    switch (command) {
      case 'promote': {
        if (references.length !== 1) {
          throw new UsageError(`promote expects one argument, ID@VERSION, not ${references.length}.`);
        }
        [promoted] = references;
        await promote(target, promoted).catch((error) => {
          throw error instanceof SplitError ? new UsageError(`'${promoted}' ${error.message}.`) : error;
        });
        break;
      }
      case 'rollback':
        if (references.length > 0) throw new UsageError('rollback expects no arguments.');
        promoted = await rollBack(target);
        break;
      default:
        throw new UsageError(
          command ? `There is no command '${command}'.` : 'Name a command: promote or rollback.',
        );
    }
    const whenFollowed =
      RELOAD_INTERVAL_MS > 0 ? `within ${RELOAD_INTERVAL_MS} ms, or on SIGHUP` : 'on SIGHUP';
    console.log(
      `${target.file}: the default model is now ${promoted}; running services follow ${whenFollowed}.`,
    );
    if (DEFAULT_MODEL)
      console.log('DEFAULT_MODEL is set and takes precedence over the file; unset it to serve this model.');
  },
  [ConfigError, ModelFolderError],
);
