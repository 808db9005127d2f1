import type { Logger } from 'pino';
import type { ModelCard } from './model-card.ts';
import { findModelFolders, ModelFolderError, readModelCard } from './model-folder.ts';
import { type EngineSettings, type ModelHooks, ModelVersion } from './model-version.ts';
import type { ServedModel } from './served-model.ts';

export interface RegistryOptions {
  /** Folder with <id>/<version>/model.json. */
  modelDir: string;
  /** "id" or "id@version"; the only or the first id when absent. */
  defaultModel?: string;
  engine: EngineSettings;
  hooks?: ModelHooks;
  log?: Pick<Logger, 'info' | 'warn' | 'error'>;
}

/** The client asked for a model that is not here. */
export class UnknownModelError extends Error {
  override name = 'UnknownModelError';
}

export interface ModelRegistry {
  /** By id, newest version first. */
  list(): ServedModel[];
  /** undefined: the default; "id": its newest version; "id@version". Throws UnknownModelError. */
  get(reference?: string): ServedModel;
  /** Whether a request for the default model can be answered now, and if not why. */
  readonly ready: boolean;
  readonly notReadyReason?: string;
  close(): Promise<void>;
}

/** The models of a folder. A folder that cannot be served is logged and left out; the others are served. */
export class FolderRegistry implements ModelRegistry {
  readonly #models: ModelVersion[];
  readonly #default: ModelVersion;

  /** Finds the models. Throws ModelFolderError when there is none to serve, or not the default one. */
  static async open(options: RegistryOptions): Promise<FolderRegistry> {
    const { modelDir, defaultModel, engine, hooks = {}, log } = options;
    const models: ModelVersion[] = [];
    for (const folder of await folders(modelDir)) {
      try {
        models.push(new ModelVersion(folder, await readModelCard(folder), engine, hooks));
      } catch (error) {
        if (!(error instanceof ModelFolderError)) throw error;
        log?.error(error.message);
      }
    }
    if (models.length === 0) {
      throw new ModelFolderError(
        `there is no model in ${modelDir}: set MODEL_DIR to a folder with <id>/<version>/`,
      );
    }
    models.sort(byIdThenNewest);
    const first = defaultModel === undefined ? models[0] : find(models, defaultModel);
    if (!first)
      throw new ModelFolderError(
        `DEFAULT_MODEL ${defaultModel} is not in ${modelDir}: ${whatIsThere(models)}`,
      );
    return new FolderRegistry(models, first);
  }

  private constructor(models: ModelVersion[], first: ModelVersion) {
    this.#models = models;
    this.#default = first;
  }

  list(): ModelVersion[] {
    return [...this.#models];
  }

  get(reference?: string): ModelVersion {
    const model = reference === undefined ? this.#default : find(this.#models, reference);
    if (!model) throw new UnknownModelError(`there is no model ${reference}: ${whatIsThere(this.#models)}`);
    return model;
  }

  get ready(): boolean {
    return this.notReadyReason === undefined;
  }

  get notReadyReason(): string | undefined {
    const { ref, state, reason, workers } = this.#default;
    if (state === 'failed') return `${ref} failed to load: ${reason}`;
    if (state !== 'ready') return `${ref} is loading`;
    return workers?.alive ? undefined : `${ref} has no worker alive; replacements are being started`;
  }

  async close(): Promise<void> {
    await Promise.all(this.#models.map((model) => model.close()));
  }
}

async function folders(modelDir: string): Promise<string[]> {
  try {
    return await findModelFolders(modelDir);
  } catch (error) {
    throw new ModelFolderError(`MODEL_DIR ${modelDir} cannot be read: ${(error as Error).message}`);
  }
}

function find(models: ModelVersion[], reference: string): ModelVersion | undefined {
  return models.find(({ card, ref }) => card.id === reference || ref === reference); // newest first
}

function byIdThenNewest({ card: a }: ServedModel, { card: b }: ServedModel): number {
  return a.id.localeCompare(b.id) || compareVersions(b, a);
}

function compareVersions(a: ModelCard, b: ModelCard): number {
  return Number(a.version) - Number(b.version);
}

function whatIsThere(models: ModelVersion[]): string {
  return `there are ${models.map(({ ref }) => ref).join(', ')}`;
}
