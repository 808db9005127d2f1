import type { Logger } from 'pino';
import { ModelFolderError } from '../model/folder.ts';
import { parseSplit } from '../model/traffic-split.ts';
import type { ModelVersion } from './model-version.ts';
import { readServing, servingFileIn } from './promotions.ts';
import type { Share } from './shares.ts';

export interface DefaultModelOptions {
  /** Folder with <id>/<version>/model.json. */
  modelDir: string;
  /** A reference or split in the notation of DEFAULT_MODEL. Takes precedence over the serving file. */
  defaultModel?: string;
  /** Default: serving.json in modelDir. */
  servingFile?: string;
  log?: Pick<Logger, 'warn'>;
}

/** Determines which versions the operator wants to serve requests that name no model. */
export class DefaultModel {
  readonly #options: DefaultModelOptions;
  /** What the log said last about the file that DEFAULT_MODEL overrides, so that it says it only once. */
  #lastWarning: string | undefined;

  constructor(options: DefaultModelOptions) {
    this.#options = options;
  }

  /**
   * The versions to serve, loaded or not: those of defaultModel, else those of the serving file, else the newest version
   * of `currentId`, else that of the first id.
   *
   * @param versions the versions available, by id, newest first
   * @param currentId the id that serves now. Keeping it prevents a new id from becoming the default only because it
   * comes first.
   * Rejects with ModelFolderError when there is no version, or not the one that is wanted.
   */
  async resolve(versions: ModelVersion[], currentId: string | undefined): Promise<Share[]> {
    const { modelDir } = this.#options;
    if (versions.length === 0) {
      throw new ModelFolderError(
        `there is no model in ${modelDir}; set MODEL_DIR to a folder with <id>/<version>/model.json`,
      );
    }
    const { text, source } = await this.#setting();
    const shares = text ? parseSplit(text) : [{ reference: defaultId(versions, currentId), weight: 1 }];
    return shares.map(({ reference, weight }) => {
      const candidates = versions.filter(({ card, ref }) => card.id === reference || ref === reference);
      if (candidates.length > 0)
        return { model: newestUsable(candidates, (each) => !each.failedRecently), weight };
      throw new ModelFolderError(`${source}: ${reference} is not in ${modelDir}; ${listVersions(versions)}`);
    });
  }

  /** The reference or split that is configured, if any, and the place where it is. */
  async #setting(): Promise<{ text?: string; source: string }> {
    const { modelDir, defaultModel, servingFile = servingFileIn(modelDir), log } = this.#options;
    if (!defaultModel) return { text: (await readServing(servingFile))?.default, source: servingFile };
    const warning = await readServing(servingFile).then(
      (serving) => serving && `${servingFile} (${serving.default}) is ignored`,
      ({ message }: ModelFolderError) => message,
    );
    if (warning && warning !== this.#lastWarning)
      log?.warn(`DEFAULT_MODEL is set (${defaultModel}); ${warning}`);
    this.#lastWarning = warning;
    return { text: defaultModel, source: 'DEFAULT_MODEL' };
  }
}

function defaultId(versions: ModelVersion[], currentId: string | undefined): string {
  const ids = versions.map(({ card }) => card.id);
  return currentId !== undefined && ids.includes(currentId) ? currentId : ids[0];
}

/** The first of `versions` (newest first) that is usable, that is, has not failed to load; if none is, the first. */
export function newestUsable(
  versions: ModelVersion[],
  isUsable = ({ state }: ModelVersion) => state !== 'failed',
): ModelVersion {
  return versions.find(isUsable) ?? versions[0];
}

/** "available: id@2, id@1", for error messages. */
export function listVersions(versions: ModelVersion[]): string {
  return `available: ${versions.map(({ ref }) => ref).join(', ') || 'none'}`;
}
