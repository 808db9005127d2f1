import { SAMPLER_NAMES } from '../../../diffusion/samplers/index.ts';
import type { ServedModel } from '../../../registry/served-model.ts';
import type { ModelInfo } from './schemas.ts';

/** A model, as IOPaint's page reads it: it fills without a prompt, and has none of IOPaint's extensions. */
export function modelInfo({ card, ref }: ServedModel): ModelInfo {
  return {
    name: card.id,
    path: ref,
    model_type: 'inpaint',
    is_single_file_diffusers: false,
    need_prompt: false,
    controlnets: [],
    brushnets: [],
    support_strength: false,
    support_outpainting: false,
    support_lcm_lora: false,
    support_controlnet: false,
    support_brushnet: false,
    support_powerpaint_v2: false,
  };
}

/** What IOPaint's page asks for at its start: no plugins, and one model that cannot be switched. */
export function serverConfig(model: ServedModel) {
  return {
    plugins: [],
    modelInfos: [modelInfo(model)],
    removeBGModel: '',
    removeBGModels: [],
    realesrganModel: '',
    realesrganModels: [],
    interactiveSegModel: '',
    interactiveSegModels: [],
    enableFileManager: false,
    enableAutoSaving: false,
    enableControlnet: false,
    controlnetMethod: null,
    disableModelSwitch: true,
    isDesktop: false,
    samplers: SAMPLER_NAMES,
  };
}
