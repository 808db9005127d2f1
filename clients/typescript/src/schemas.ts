/** Made from openapi.yaml: npm run openapi. */
export type paths = Record<string, never>;
export type webhooks = Record<string, never>;
export interface components {
    schemas: {
        IOPaintInpaint: {
            /**
             * @description The file as base64, or as a data: URL
             * @example data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAABAAAAAQCAYAAAAf8/9hAAAACXBIWXMAAAPoAAAD6AG1e1JrAAAALElEQVQ4y2M4MS3vPyWYYdQA7AYw4ACD1YAKIAMN4zQAm9rBaQApeNSAvP8AaypZrwVG4AAAAAAASUVORK5CYII=
             */
            image: string;
            /**
             * @description The hole is where the colour is light (luma above 127); alpha does not count
             * @example data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAABAAAAAQCAYAAAAf8/9hAAAACXBIWXMAAAPoAAAD6AG1e1JrAAAALElEQVQ4y2M4MS3vPyWYYdQA7AYw4ACD1YAKIAMN4zQAm9rBaQApeNSAvP8AaypZrwVG4AAAAAAASUVORK5CYII=
             */
            mask: string;
            /**
             * Format: int64
             * @description The same seed gives the same picture; -1 draws one
             * @default 42
             */
            sd_seed?: number;
        };
        IOPaintAdjustMask: {
            /**
             * @description The file as base64, or as a data: URL
             * @example data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAABAAAAAQCAYAAAAf8/9hAAAACXBIWXMAAAPoAAAD6AG1e1JrAAAALElEQVQ4y2M4MS3vPyWYYdQA7AYw4ACD1YAKIAMN4zQAm9rBaQApeNSAvP8AaypZrwVG4AAAAAAASUVORK5CYII=
             */
            mask: string;
            /**
             * @description How to change the hole
             * @enum {string}
             */
            operate: "expand" | "shrink" | "reverse";
            /**
             * @description Number of pixels by which the hole grows or shrinks; no effect on `reverse`
             * @default 5
             */
            kernel_size?: number;
        };
        IOPaintGenInfo: {
            /**
             * Format: binary
             * @description A picture file; it is ignored
             */
            file: string;
        };
        IOPaintSwitchModel: {
            /** @description The model that is served */
            name: string;
        };
        InferRequest: {
            /** @description Identifier of the request; the answer repeats it */
            id?: string;
            /**
             * @description Of a fill: `seed`, `num_images`, `sampler`, `steps`, `eta` and the others of /v1/inpaint. `binary_data_output`: whether all outputs are binary
             * @example {
             *       "seed": 7,
             *       "steps": 12
             *     }
             */
            parameters?: {
                [key: string]: unknown;
            };
            inputs: {
                name: string;
                shape: number[];
                /** @example FP32 */
                datatype: string;
                parameters?: {
                    /**
                     * Format: int64
                     * @description Bytes of this tensor after the JSON
                     */
                    binary_data_size?: number;
                };
                /** @description The values, in row-major order; BYTES as base64 */
                data?: unknown;
            }[];
            /** @description The outputs that are wanted; all when absent */
            outputs?: {
                name: string;
                parameters?: {
                    binary_data?: boolean;
                };
            }[];
        };
        ImageEditForm: {
            /**
             * Format: binary
             * @description The picture; `image[]` is accepted too
             */
            image: string;
            /**
             * Format: binary
             * @description The hole is transparent (alpha below 128); colours do not count. When absent, the transparent pixels of the image are the hole
             */
            mask?: string;
            /**
             * Format: binary
             * @description A mask whose hole is white, as in `/v1/inpaint`; in place of `mask`
             */
            mask_image?: string;
            /**
             * @description `id` or `id@version`; the default model when absent. Without a version: the default version of that id, else its newest
             * @example celeba-inpaint-64
             */
            model?: string;
            /**
             * @description Number of pictures, each with its own noise
             * @default 1
             */
            n?: number;
            /**
             * @description Size of the result, as `WIDTHxHEIGHT` in the proportions of the picture: it is resized at the end. `auto` or absent: its own
             * @example auto
             * @example 512x512
             */
            size?: string;
            /**
             * @default png
             * @enum {string}
             */
            output_format?: "png" | "jpeg" | "webp";
            /** @description Quality of jpeg and webp; webp at 100 is lossless */
            output_compression?: number;
            /**
             * @description Pictures are always answered as base64
             * @constant
             */
            response_format?: "b64_json";
            /**
             * @description Fills are opaque; what is transparent elsewhere stays so
             * @enum {string}
             */
            background?: "auto" | "opaque";
            /**
             * Format: int64
             * @description The same seed gives the same picture. Drawn at random and reported when absent
             * @example 7
             */
            seed?: number;
            /**
             * @description Evaluations of the network, 1 to the model's T, of each window where a hole is filled in windows. More is slower and finer; the model card's default when absent. With 6 or more, parts of a hole that are up to 8 pixels thick take 3
             * @example 12
             */
            steps?: number;
            /**
             * @description Another name for `steps`
             * @example 12
             */
            num_inference_steps?: number;
            /**
             * @description The model card's default when absent
             * @example dpmpp_2m
             * @enum {string}
             */
            sampler?: "ddpm" | "ddim" | "dpmpp_2m";
            /** @description Text: this service draws what fits the picture. Has no effect */
            prompt?: string;
            /** @description Has no effect; `steps` sets the quality */
            quality?: string;
            /** @description Identifier of an end user. Has no effect */
            user?: string;
            /**
             * @description Answer with server-sent events, whatever the Accept header says
             * @default false
             */
            stream?: boolean;
            /**
             * @description In a stream: maximum number of intermediate pictures before the first result
             * @default 0
             */
            partial_images?: number;
            /**
             * @description What the model is shown. `windows`: parts of the picture at its own resolution, coarser first where the hole is large; `crop`: a square around the hole, shrunk; `resize`: the whole picture, shrunk. `auto` chooses; the answer says which
             * @default auto
             * @enum {string}
             */
            strategy?: "auto" | "windows" | "crop" | "resize";
            /**
             * @description With `crop`: pixels of context around the hole; the size of the hole when absent
             * @example 32
             */
            padding?: number;
            /**
             * @description Pixels over which the fill fades in, inside the hole only
             * @default 0
             */
            mask_blur?: number;
        };
        ImageEditJson: {
            images: {
                /**
                 * @description The file as a data: URL. Nothing is fetched from elsewhere
                 * @example data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAABAAAAAQCAYAAAAf8/9hAAAACXBIWXMAAAPoAAAD6AG1e1JrAAAALElEQVQ4y2M4MS3vPyWYYdQA7AYw4ACD1YAKIAMN4zQAm9rBaQApeNSAvP8AaypZrwVG4AAAAAAASUVORK5CYII=
                 */
                image_url: string;
            }[];
            /** @description The hole is transparent (alpha below 128); colours do not count. When absent, the transparent pixels of the image are the hole */
            mask?: {
                /**
                 * @description The file as a data: URL. Nothing is fetched from elsewhere
                 * @example data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAABAAAAAQCAYAAAAf8/9hAAAACXBIWXMAAAPoAAAD6AG1e1JrAAAALElEQVQ4y2M4MS3vPyWYYdQA7AYw4ACD1YAKIAMN4zQAm9rBaQApeNSAvP8AaypZrwVG4AAAAAAASUVORK5CYII=
                 */
                image_url: string;
            };
            /** @description A mask whose hole is white, as in `/v1/inpaint`; in place of `mask` */
            mask_image?: {
                /**
                 * @description The file as a data: URL. Nothing is fetched from elsewhere
                 * @example data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAABAAAAAQCAYAAAAf8/9hAAAACXBIWXMAAAPoAAAD6AG1e1JrAAAALElEQVQ4y2M4MS3vPyWYYdQA7AYw4ACD1YAKIAMN4zQAm9rBaQApeNSAvP8AaypZrwVG4AAAAAAASUVORK5CYII=
                 */
                image_url: string;
            };
            /**
             * @description `id` or `id@version`; the default model when absent. Without a version: the default version of that id, else its newest
             * @example celeba-inpaint-64
             */
            model?: string;
            /**
             * @description Number of pictures, each with its own noise
             * @default 1
             */
            n?: number;
            /**
             * @description Size of the result, as `WIDTHxHEIGHT` in the proportions of the picture: it is resized at the end. `auto` or absent: its own
             * @example auto
             * @example 512x512
             */
            size?: string;
            /**
             * @default png
             * @enum {string}
             */
            output_format?: "png" | "jpeg" | "webp";
            /** @description Quality of jpeg and webp; webp at 100 is lossless */
            output_compression?: number;
            /**
             * @description Pictures are always answered as base64
             * @constant
             */
            response_format?: "b64_json";
            /**
             * @description Fills are opaque; what is transparent elsewhere stays so
             * @enum {string}
             */
            background?: "auto" | "opaque";
            /**
             * Format: int64
             * @description The same seed gives the same picture. Drawn at random and reported when absent
             * @example 7
             */
            seed?: number;
            /**
             * @description Evaluations of the network, 1 to the model's T, of each window where a hole is filled in windows. More is slower and finer; the model card's default when absent. With 6 or more, parts of a hole that are up to 8 pixels thick take 3
             * @example 12
             */
            steps?: number;
            /**
             * @description Another name for `steps`
             * @example 12
             */
            num_inference_steps?: number;
            /**
             * @description The model card's default when absent
             * @example dpmpp_2m
             * @enum {string}
             */
            sampler?: "ddpm" | "ddim" | "dpmpp_2m";
            /** @description Text: this service draws what fits the picture. Has no effect */
            prompt?: string;
            /** @description Has no effect; `steps` sets the quality */
            quality?: string;
            /** @description Identifier of an end user. Has no effect */
            user?: string;
            /**
             * @description Answer with server-sent events, whatever the Accept header says
             * @default false
             */
            stream?: boolean;
            /**
             * @description In a stream: maximum number of intermediate pictures before the first result
             * @default 0
             */
            partial_images?: number;
            /**
             * @description What the model is shown. `windows`: parts of the picture at its own resolution, coarser first where the hole is large; `crop`: a square around the hole, shrunk; `resize`: the whole picture, shrunk. `auto` chooses; the answer says which
             * @default auto
             * @enum {string}
             */
            strategy?: "auto" | "windows" | "crop" | "resize";
            /**
             * @description With `crop`: pixels of context around the hole; the size of the hole when absent
             * @example 32
             */
            padding?: number;
            /**
             * @description Pixels over which the fill fades in, inside the hole only
             * @default 0
             */
            mask_blur?: number;
        };
        ImageGenerationJson: {
            /**
             * @description `id` or `id@version`; the default model when absent. Without a version: the default version of that id, else its newest
             * @example celeba-inpaint-64
             */
            model?: string;
            /**
             * @description Number of pictures, each with its own noise
             * @default 1
             */
            n?: number;
            /**
             * @description Size of the result, as `WIDTHxHEIGHT` in the proportions of the picture: it is resized at the end. `auto` or absent: its own
             * @example auto
             * @example 512x512
             */
            size?: string;
            /**
             * @default png
             * @enum {string}
             */
            output_format?: "png" | "jpeg" | "webp";
            /** @description Quality of jpeg and webp; webp at 100 is lossless */
            output_compression?: number;
            /**
             * @description Pictures are always answered as base64
             * @constant
             */
            response_format?: "b64_json";
            /**
             * @description Fills are opaque; what is transparent elsewhere stays so
             * @enum {string}
             */
            background?: "auto" | "opaque";
            /**
             * Format: int64
             * @description The same seed gives the same picture. Drawn at random and reported when absent
             * @example 7
             */
            seed?: number;
            /**
             * @description Evaluations of the network, 1 to the model's T, of each window where a hole is filled in windows. More is slower and finer; the model card's default when absent. With 6 or more, parts of a hole that are up to 8 pixels thick take 3
             * @example 12
             */
            steps?: number;
            /**
             * @description Another name for `steps`
             * @example 12
             */
            num_inference_steps?: number;
            /**
             * @description The model card's default when absent
             * @example dpmpp_2m
             * @enum {string}
             */
            sampler?: "ddpm" | "ddim" | "dpmpp_2m";
            /** @description Text: this service draws what fits the picture. Has no effect */
            prompt?: string;
            /** @description Has no effect; `steps` sets the quality */
            quality?: string;
            /** @description Identifier of an end user. Has no effect */
            user?: string;
            /**
             * @description Answer with server-sent events, whatever the Accept header says
             * @default false
             */
            stream?: boolean;
            /**
             * @description In a stream: maximum number of intermediate pictures before the first result
             * @default 0
             */
            partial_images?: number;
        };
        ImageVariationForm: {
            /**
             * Format: binary
             * @description A square picture
             */
            image: string;
            /** @description Share of the denoising steps that are taken: small values keep the picture, 1 draws another one. 0.6 when absent */
            strength?: number;
            /**
             * @description `id` or `id@version`; the default model when absent. Without a version: the default version of that id, else its newest
             * @example celeba-inpaint-64
             */
            model?: string;
            /**
             * @description Number of pictures, each with its own noise
             * @default 1
             */
            n?: number;
            /**
             * @description Size of the result, as `WIDTHxHEIGHT` in the proportions of the picture: it is resized at the end. `auto` or absent: its own
             * @example auto
             * @example 512x512
             */
            size?: string;
            /**
             * @default png
             * @enum {string}
             */
            output_format?: "png" | "jpeg" | "webp";
            /** @description Quality of jpeg and webp; webp at 100 is lossless */
            output_compression?: number;
            /**
             * @description Pictures are always answered as base64
             * @constant
             */
            response_format?: "b64_json";
            /**
             * @description Fills are opaque; what is transparent elsewhere stays so
             * @enum {string}
             */
            background?: "auto" | "opaque";
            /**
             * Format: int64
             * @description The same seed gives the same picture. Drawn at random and reported when absent
             * @example 7
             */
            seed?: number;
            /**
             * @description Evaluations of the network, 1 to the model's T, of each window where a hole is filled in windows. More is slower and finer; the model card's default when absent. With 6 or more, parts of a hole that are up to 8 pixels thick take 3
             * @example 12
             */
            steps?: number;
            /**
             * @description Another name for `steps`
             * @example 12
             */
            num_inference_steps?: number;
            /**
             * @description The model card's default when absent
             * @example dpmpp_2m
             * @enum {string}
             */
            sampler?: "ddpm" | "ddim" | "dpmpp_2m";
            /** @description Text: this service draws what fits the picture. Has no effect */
            prompt?: string;
            /** @description Has no effect; `steps` sets the quality */
            quality?: string;
            /** @description Identifier of an end user. Has no effect */
            user?: string;
        };
        InpaintJson: {
            /**
             * @description The file as base64, or as a data: URL
             * @example data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAABAAAAAQCAYAAAAf8/9hAAAACXBIWXMAAAPoAAAD6AG1e1JrAAAALElEQVQ4y2M4MS3vPyWYYdQA7AYw4ACD1YAKIAMN4zQAm9rBaQApeNSAvP8AaypZrwVG4AAAAAAASUVORK5CYII=
             */
            image: string;
            /**
             * @description The hole is white (128 or more); a grey edge (down to 16) that is connected to it is filled in part. Black and transparent pixels are kept; in masks for the OpenAI API it is the other way round, and the transparent pixels are the hole. When absent, the transparent pixels of the image are the hole
             * @example data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAABAAAAAQCAYAAAAf8/9hAAAACXBIWXMAAAPoAAAD6AG1e1JrAAAALElEQVQ4y2M4MS3vPyWYYdQA7AYw4ACD1YAKIAMN4zQAm9rBaQApeNSAvP8AaypZrwVG4AAAAAAASUVORK5CYII=
             */
            mask?: string;
            /**
             * @description `id` or `id@version`; the default model when absent. Without a version: the default version of that id, else its newest
             * @example celeba-inpaint-64
             */
            model?: string;
            /**
             * Format: int64
             * @description The same seed gives the same picture. Drawn at random and reported when absent
             * @example 7
             */
            seed?: number;
            /**
             * @description Number of candidates, each with its own noise
             * @default 1
             */
            num_images?: number;
            /**
             * @description The model card's default when absent
             * @example dpmpp_2m
             * @enum {string}
             */
            sampler?: "ddpm" | "ddim" | "dpmpp_2m";
            /**
             * @description Evaluations of the network, 1 to the model's T, of each window where a hole is filled in windows. More is slower and finer; the model card's default when absent. With 6 or more, parts of a hole that are up to 8 pixels thick take 3
             * @example 12
             */
            steps?: number;
            /**
             * @description Share of fresh noise in each step of ddim; 0 is deterministic
             * @example 0
             */
            eta?: number;
            /**
             * @description In a stream of events: number of evaluations of the network between two previews; 0: no previews. Evaluations of all windows and candidates are counted together. A preview is the current estimate of the part that is being filled, of at most 512 x 512 pixels. Previews of more than 256 x 256 are sent less often, so that they do not delay the fill
             * @default 0
             */
            preview_every?: number;
            /**
             * @description With each preview of at most 256 x 256 pixels, also send the noisy picture x_t that it was estimated from
             * @default false
             */
            preview_noisy?: boolean;
            /**
             * @description Weight of the request while the service is busy
             * @default normal
             * @enum {string}
             */
            priority?: "low" | "normal" | "high";
            /**
             * @description What the model is shown. `windows`: parts of the picture at its own resolution, coarser first where the hole is large; `crop`: a square around the hole, shrunk; `resize`: the whole picture, shrunk. `auto` chooses; the answer says which
             * @default auto
             * @enum {string}
             */
            strategy?: "auto" | "windows" | "crop" | "resize";
            /**
             * @description With `crop`: pixels of context around the hole; the size of the hole when absent
             * @example 32
             */
            padding?: number;
            /**
             * @description Pixels by which the hole is grown in every direction; negative shrinks it
             * @default 0
             */
            mask_grow?: number;
            /**
             * @description Pixels over which the fill fades in, inside the hole only
             * @default 0
             */
            mask_blur?: number;
            /**
             * @description EXIF of the image, such as camera, time and place (GPS): `keep` copies it into the answer, without thumbnail and maker note, up to 64 kB. Density, ICC profile and colour chunks of a PNG are always kept
             * @default strip
             * @enum {string}
             */
            metadata?: "strip" | "keep";
            /**
             * @description When absent: what Accept prefers, else png
             * @enum {string}
             */
            format?: "png" | "jpeg" | "webp";
            /**
             * @description For jpeg and webp; webp of quality 100 is lossless. When absent: 90, or 100 for the webp of an image that is lossless itself (PNG, GIF, most TIFF, lossless WebP)
             * @example 90
             */
            quality?: number;
        };
        InpaintForm: {
            /**
             * Format: binary
             * @description PNG, JPEG, WebP, AVIF, TIFF or GIF
             */
            image: string;
            /**
             * Format: binary
             * @description The hole is white (128 or more); a grey edge (down to 16) that is connected to it is filled in part. Black and transparent pixels are kept; in masks for the OpenAI API it is the other way round, and the transparent pixels are the hole. When absent, the transparent pixels of the image are the hole
             */
            mask?: string;
            /**
             * @description `id` or `id@version`; the default model when absent. Without a version: the default version of that id, else its newest
             * @example celeba-inpaint-64
             */
            model?: string;
            /**
             * Format: int64
             * @description The same seed gives the same picture. Drawn at random and reported when absent
             * @example 7
             */
            seed?: number;
            /**
             * @description Number of candidates, each with its own noise
             * @default 1
             */
            num_images?: number;
            /**
             * @description The model card's default when absent
             * @example dpmpp_2m
             * @enum {string}
             */
            sampler?: "ddpm" | "ddim" | "dpmpp_2m";
            /**
             * @description Evaluations of the network, 1 to the model's T, of each window where a hole is filled in windows. More is slower and finer; the model card's default when absent. With 6 or more, parts of a hole that are up to 8 pixels thick take 3
             * @example 12
             */
            steps?: number;
            /**
             * @description Share of fresh noise in each step of ddim; 0 is deterministic
             * @example 0
             */
            eta?: number;
            /**
             * @description In a stream of events: number of evaluations of the network between two previews; 0: no previews. Evaluations of all windows and candidates are counted together. A preview is the current estimate of the part that is being filled, of at most 512 x 512 pixels. Previews of more than 256 x 256 are sent less often, so that they do not delay the fill
             * @default 0
             */
            preview_every?: number;
            /**
             * @description With each preview of at most 256 x 256 pixels, also send the noisy picture x_t that it was estimated from
             * @default false
             */
            preview_noisy?: boolean;
            /**
             * @description Weight of the request while the service is busy
             * @default normal
             * @enum {string}
             */
            priority?: "low" | "normal" | "high";
            /**
             * @description What the model is shown. `windows`: parts of the picture at its own resolution, coarser first where the hole is large; `crop`: a square around the hole, shrunk; `resize`: the whole picture, shrunk. `auto` chooses; the answer says which
             * @default auto
             * @enum {string}
             */
            strategy?: "auto" | "windows" | "crop" | "resize";
            /**
             * @description With `crop`: pixels of context around the hole; the size of the hole when absent
             * @example 32
             */
            padding?: number;
            /**
             * @description Pixels by which the hole is grown in every direction; negative shrinks it
             * @default 0
             */
            mask_grow?: number;
            /**
             * @description Pixels over which the fill fades in, inside the hole only
             * @default 0
             */
            mask_blur?: number;
            /**
             * @description EXIF of the image, such as camera, time and place (GPS): `keep` copies it into the answer, without thumbnail and maker note, up to 64 kB. Density, ICC profile and colour chunks of a PNG are always kept
             * @default strip
             * @enum {string}
             */
            metadata?: "strip" | "keep";
            /**
             * @description When absent: what Accept prefers, else png
             * @enum {string}
             */
            format?: "png" | "jpeg" | "webp";
            /**
             * @description For jpeg and webp; webp of quality 100 is lossless. When absent: 90, or 100 for the webp of an image that is lossless itself (PNG, GIF, most TIFF, lossless WebP)
             * @example 90
             */
            quality?: number;
        };
        SampleJson: {
            /**
             * @description `id` or `id@version`; the default model when absent. Without a version: the default version of that id, else its newest
             * @example celeba-inpaint-64
             */
            model?: string;
            /**
             * Format: int64
             * @description The same seed gives the same picture. Drawn at random and reported when absent
             * @example 7
             */
            seed?: number;
            /**
             * @description Number of candidates, each with its own noise
             * @default 1
             */
            num_images?: number;
            /**
             * @description The model card's default when absent
             * @example dpmpp_2m
             * @enum {string}
             */
            sampler?: "ddpm" | "ddim" | "dpmpp_2m";
            /**
             * @description Evaluations of the network, 1 to the model's T, of each window where a hole is filled in windows. More is slower and finer; the model card's default when absent. With 6 or more, parts of a hole that are up to 8 pixels thick take 3
             * @example 12
             */
            steps?: number;
            /**
             * @description Share of fresh noise in each step of ddim; 0 is deterministic
             * @example 0
             */
            eta?: number;
            /**
             * @description In a stream of events: number of evaluations of the network between two previews; 0: no previews. Evaluations of all windows and candidates are counted together. A preview is the current estimate of the part that is being filled, of at most 512 x 512 pixels. Previews of more than 256 x 256 are sent less often, so that they do not delay the fill
             * @default 0
             */
            preview_every?: number;
            /**
             * @description With each preview of at most 256 x 256 pixels, also send the noisy picture x_t that it was estimated from
             * @default false
             */
            preview_noisy?: boolean;
            /**
             * @description Weight of the request while the service is busy
             * @default normal
             * @enum {string}
             */
            priority?: "low" | "normal" | "high";
            /**
             * @description When absent: what Accept prefers, else png
             * @enum {string}
             */
            format?: "png" | "jpeg" | "webp";
            /**
             * @description For jpeg and webp; webp of quality 100 is lossless. When absent: 90, or 100 for the webp of an image that is lossless itself (PNG, GIF, most TIFF, lossless WebP)
             * @example 90
             */
            quality?: number;
        };
        JobJson: {
            /**
             * @default inpaint
             * @enum {string}
             */
            task?: "inpaint" | "sample";
            /**
             * @description The file as base64, or as a data: URL
             * @example data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAABAAAAAQCAYAAAAf8/9hAAAACXBIWXMAAAPoAAAD6AG1e1JrAAAALElEQVQ4y2M4MS3vPyWYYdQA7AYw4ACD1YAKIAMN4zQAm9rBaQApeNSAvP8AaypZrwVG4AAAAAAASUVORK5CYII=
             */
            image?: string;
            /**
             * @description The hole is white (128 or more); a grey edge (down to 16) that is connected to it is filled in part. Black and transparent pixels are kept; in masks for the OpenAI API it is the other way round, and the transparent pixels are the hole. When absent, the transparent pixels of the image are the hole
             * @example data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAABAAAAAQCAYAAAAf8/9hAAAACXBIWXMAAAPoAAAD6AG1e1JrAAAALElEQVQ4y2M4MS3vPyWYYdQA7AYw4ACD1YAKIAMN4zQAm9rBaQApeNSAvP8AaypZrwVG4AAAAAAASUVORK5CYII=
             */
            mask?: string;
            /**
             * Format: uri
             * @description URL that the job is posted to when it has succeeded or failed, signed according to Standard Webhooks. Its origin must be one of WEBHOOK_ORIGINS; it contains no user name and no password
             * @example
             */
            webhook?: string;
            /**
             * @description `id` or `id@version`; the default model when absent. Without a version: the default version of that id, else its newest
             * @example celeba-inpaint-64
             */
            model?: string;
            /**
             * Format: int64
             * @description The same seed gives the same picture. Drawn at random and reported when absent
             * @example 7
             */
            seed?: number;
            /**
             * @description Number of candidates, each with its own noise
             * @default 1
             */
            num_images?: number;
            /**
             * @description The model card's default when absent
             * @example dpmpp_2m
             * @enum {string}
             */
            sampler?: "ddpm" | "ddim" | "dpmpp_2m";
            /**
             * @description Evaluations of the network, 1 to the model's T, of each window where a hole is filled in windows. More is slower and finer; the model card's default when absent. With 6 or more, parts of a hole that are up to 8 pixels thick take 3
             * @example 12
             */
            steps?: number;
            /**
             * @description Share of fresh noise in each step of ddim; 0 is deterministic
             * @example 0
             */
            eta?: number;
            /**
             * @description In a stream of events: number of evaluations of the network between two previews; 0: no previews. Evaluations of all windows and candidates are counted together. A preview is the current estimate of the part that is being filled, of at most 512 x 512 pixels. Previews of more than 256 x 256 are sent less often, so that they do not delay the fill
             * @default 0
             */
            preview_every?: number;
            /**
             * @description With each preview of at most 256 x 256 pixels, also send the noisy picture x_t that it was estimated from
             * @default false
             */
            preview_noisy?: boolean;
            /**
             * @description Weight of the request while the service is busy
             * @default normal
             * @enum {string}
             */
            priority?: "low" | "normal" | "high";
            /**
             * @description What the model is shown. `windows`: parts of the picture at its own resolution, coarser first where the hole is large; `crop`: a square around the hole, shrunk; `resize`: the whole picture, shrunk. `auto` chooses; the answer says which
             * @default auto
             * @enum {string}
             */
            strategy?: "auto" | "windows" | "crop" | "resize";
            /**
             * @description With `crop`: pixels of context around the hole; the size of the hole when absent
             * @example 32
             */
            padding?: number;
            /**
             * @description Pixels by which the hole is grown in every direction; negative shrinks it
             * @default 0
             */
            mask_grow?: number;
            /**
             * @description Pixels over which the fill fades in, inside the hole only
             * @default 0
             */
            mask_blur?: number;
            /**
             * @description EXIF of the image, such as camera, time and place (GPS): `keep` copies it into the answer, without thumbnail and maker note, up to 64 kB. Density, ICC profile and colour chunks of a PNG are always kept
             * @default strip
             * @enum {string}
             */
            metadata?: "strip" | "keep";
            /**
             * @description When absent: what Accept prefers, else png
             * @enum {string}
             */
            format?: "png" | "jpeg" | "webp";
            /**
             * @description For jpeg and webp; webp of quality 100 is lossless. When absent: 90, or 100 for the webp of an image that is lossless itself (PNG, GIF, most TIFF, lossless WebP)
             * @example 90
             */
            quality?: number;
        };
        JobForm: {
            /**
             * @default inpaint
             * @enum {string}
             */
            task?: "inpaint" | "sample";
            /**
             * Format: binary
             * @description PNG, JPEG, WebP, AVIF, TIFF or GIF
             */
            image?: string;
            /**
             * Format: binary
             * @description The hole is white (128 or more); a grey edge (down to 16) that is connected to it is filled in part. Black and transparent pixels are kept; in masks for the OpenAI API it is the other way round, and the transparent pixels are the hole. When absent, the transparent pixels of the image are the hole
             */
            mask?: string;
            /**
             * Format: uri
             * @description URL that the job is posted to when it has succeeded or failed, signed according to Standard Webhooks. Its origin must be one of WEBHOOK_ORIGINS; it contains no user name and no password
             * @example
             */
            webhook?: string;
            /**
             * @description `id` or `id@version`; the default model when absent. Without a version: the default version of that id, else its newest
             * @example celeba-inpaint-64
             */
            model?: string;
            /**
             * Format: int64
             * @description The same seed gives the same picture. Drawn at random and reported when absent
             * @example 7
             */
            seed?: number;
            /**
             * @description Number of candidates, each with its own noise
             * @default 1
             */
            num_images?: number;
            /**
             * @description The model card's default when absent
             * @example dpmpp_2m
             * @enum {string}
             */
            sampler?: "ddpm" | "ddim" | "dpmpp_2m";
            /**
             * @description Evaluations of the network, 1 to the model's T, of each window where a hole is filled in windows. More is slower and finer; the model card's default when absent. With 6 or more, parts of a hole that are up to 8 pixels thick take 3
             * @example 12
             */
            steps?: number;
            /**
             * @description Share of fresh noise in each step of ddim; 0 is deterministic
             * @example 0
             */
            eta?: number;
            /**
             * @description In a stream of events: number of evaluations of the network between two previews; 0: no previews. Evaluations of all windows and candidates are counted together. A preview is the current estimate of the part that is being filled, of at most 512 x 512 pixels. Previews of more than 256 x 256 are sent less often, so that they do not delay the fill
             * @default 0
             */
            preview_every?: number;
            /**
             * @description With each preview of at most 256 x 256 pixels, also send the noisy picture x_t that it was estimated from
             * @default false
             */
            preview_noisy?: boolean;
            /**
             * @description Weight of the request while the service is busy
             * @default normal
             * @enum {string}
             */
            priority?: "low" | "normal" | "high";
            /**
             * @description What the model is shown. `windows`: parts of the picture at its own resolution, coarser first where the hole is large; `crop`: a square around the hole, shrunk; `resize`: the whole picture, shrunk. `auto` chooses; the answer says which
             * @default auto
             * @enum {string}
             */
            strategy?: "auto" | "windows" | "crop" | "resize";
            /**
             * @description With `crop`: pixels of context around the hole; the size of the hole when absent
             * @example 32
             */
            padding?: number;
            /**
             * @description Pixels by which the hole is grown in every direction; negative shrinks it
             * @default 0
             */
            mask_grow?: number;
            /**
             * @description Pixels over which the fill fades in, inside the hole only
             * @default 0
             */
            mask_blur?: number;
            /**
             * @description EXIF of the image, such as camera, time and place (GPS): `keep` copies it into the answer, without thumbnail and maker note, up to 64 kB. Density, ICC profile and colour chunks of a PNG are always kept
             * @default strip
             * @enum {string}
             */
            metadata?: "strip" | "keep";
            /**
             * @description When absent: what Accept prefers, else png
             * @enum {string}
             */
            format?: "png" | "jpeg" | "webp";
            /**
             * @description For jpeg and webp; webp of quality 100 is lossless. When absent: 90, or 100 for the webp of an image that is lossless itself (PNG, GIF, most TIFF, lossless WebP)
             * @example 90
             */
            quality?: number;
        };
        DiffuseJson: {
            /**
             * @description The file as base64, or as a data: URL
             * @example data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAABAAAAAQCAYAAAAf8/9hAAAACXBIWXMAAAPoAAAD6AG1e1JrAAAALElEQVQ4y2M4MS3vPyWYYdQA7AYw4ACD1YAKIAMN4zQAm9rBaQApeNSAvP8AaypZrwVG4AAAAAAASUVORK5CYII=
             */
            image: string;
            /**
             * @description At most 16, each from 0 to the model's T - 1; in a form, separated by commas. When absent, five from 0 to T - 1
             * @example [
             *       0,
             *       250,
             *       500,
             *       750,
             *       999
             *     ]
             */
            timesteps?: number[];
            /**
             * @description `id` or `id@version`; the default model when absent. Without a version: the default version of that id, else its newest
             * @example celeba-inpaint-64
             */
            model?: string;
            /**
             * Format: int64
             * @description The same seed gives the same picture. Drawn at random and reported when absent
             * @example 7
             */
            seed?: number;
            /**
             * @description When absent: what Accept prefers, else png
             * @enum {string}
             */
            format?: "png" | "jpeg" | "webp";
            /**
             * @description For jpeg and webp; webp of quality 100 is lossless. When absent: 90, or 100 for the webp of an image that is lossless itself (PNG, GIF, most TIFF, lossless WebP)
             * @example 90
             */
            quality?: number;
        };
        DiffuseForm: {
            /**
             * Format: binary
             * @description PNG, JPEG, WebP, AVIF, TIFF or GIF
             */
            image: string;
            /**
             * @description At most 16, each from 0 to the model's T - 1; in a form, separated by commas. When absent, five from 0 to T - 1
             * @example [
             *       0,
             *       250,
             *       500,
             *       750,
             *       999
             *     ]
             */
            timesteps?: number[];
            /**
             * @description `id` or `id@version`; the default model when absent. Without a version: the default version of that id, else its newest
             * @example celeba-inpaint-64
             */
            model?: string;
            /**
             * Format: int64
             * @description The same seed gives the same picture. Drawn at random and reported when absent
             * @example 7
             */
            seed?: number;
            /**
             * @description When absent: what Accept prefers, else png
             * @enum {string}
             */
            format?: "png" | "jpeg" | "webp";
            /**
             * @description For jpeg and webp; webp of quality 100 is lossless. When absent: 90, or 100 for the webp of an image that is lossless itself (PNG, GIF, most TIFF, lossless WebP)
             * @example 90
             */
            quality?: number;
        };
        /** @description An error, as RFC 9457 specifies */
        Problem: {
            /**
             * @description Type of the error
             * @example /problems/invalid-request
             */
            type: string;
            /**
             * @description The type in words
             * @example The request is not valid
             */
            title: string;
            /** @example 400 */
            status: number;
            /**
             * @description What is wrong
             * @example steps must be at most 1000
             */
            detail: string;
            /**
             * @description Path of the request
             * @example /v1/inpaint
             */
            instance: string;
            /** @description Fields that are not valid, at most 20 */
            errors?: {
                /**
                 * @description JSON pointer to the field
                 * @example #/steps
                 */
                pointer: string;
                /** @description What is wrong with the field */
                detail: string;
            }[];
            /** @description Below /v1/images and /v1/models: the same error for clients of OpenAI */
            error?: {
                message: string;
                /** @example invalid_request_error */
                type: string;
                /**
                 * @description Name of the field that is not valid
                 * @example mask
                 */
                param: string | null;
                /** @example empty_mask */
                code: string;
            };
        };
        Sampled: {
            /** @example celeba-inpaint-64@3 */
            model: string;
            /**
             * Format: int64
             * @example 7
             */
            seed: number;
            num_images: number;
            /** @example dpmpp_2m */
            sampler: string;
            /** @example 12 */
            steps: number;
            /** @example 0 */
            eta: number;
            /**
             * @description Number format of the evaluations. With the same seed, pictures differ between two formats
             * @enum {string}
             */
            precision: "fp32" | "int8";
            /** @enum {string} */
            format: "png" | "jpeg" | "webp";
            images: {
                /** @description Index of the candidate */
                index: number;
                /** @description The encoded picture as base64 */
                data: string;
            }[];
            /** @description Milliseconds of each part of the work: `decode` (read the pictures), `queue` (wait for the first evaluation), `denoise` (evaluate the network), `composite` (put the fill into the picture), `encode` (write the files) */
            timings_ms: {
                [key: string]: number;
            };
        };
        Inpainted: {
            /** @example celeba-inpaint-64@3 */
            model: string;
            /**
             * Format: int64
             * @example 7
             */
            seed: number;
            num_images: number;
            /** @example dpmpp_2m */
            sampler: string;
            /** @example 12 */
            steps: number;
            /** @example 0 */
            eta: number;
            /**
             * @description Number format of the evaluations. With the same seed, pictures differ between two formats
             * @enum {string}
             */
            precision: "fp32" | "int8";
            /** @enum {string} */
            format: "png" | "jpeg" | "webp";
            images: {
                /** @description Index of the candidate */
                index: number;
                /** @description The encoded picture as base64 */
                data: string;
            }[];
            /** @description Milliseconds of each part of the work: `decode` (read the pictures), `queue` (wait for the first evaluation), `denoise` (evaluate the network), `composite` (put the fill into the picture), `encode` (write the files) */
            timings_ms: {
                [key: string]: number;
            };
            /** @enum {string} */
            strategy: "windows" | "crop" | "resize";
            /**
             * @description The part of the picture that the model saw
             * @example {
             *       "left": 0,
             *       "top": 0,
             *       "width": 64,
             *       "height": 64
             *     }
             */
            box: {
                left: number;
                top: number;
                width: number;
                height: number;
            };
            /** @description How the hole was filled, when the strategy is windows */
            plan?: {
                /** @description Evaluations of the networks, for one image */
                evaluations: number;
                regions: {
                    /** @description Levels of resolution, from the coarsest to the finest */
                    levels: {
                        /** @enum {string} */
                        network: "base" | "refiner";
                        /**
                         * Format: int64
                         * @description Evaluations of each window
                         */
                        steps: number;
                        /** @description Resolution of this level, as a share of that of the picture: 1, 1/2, 1/4, ... */
                        scale: number;
                        /**
                         * @description The part of the picture that this level covers, in pixels of the picture; it may extend beyond the right and bottom edges
                         * @example {
                         *       "left": 0,
                         *       "top": 0,
                         *       "width": 64,
                         *       "height": 64
                         *     }
                         */
                        box: {
                            left: number;
                            top: number;
                            width: number;
                            height: number;
                        };
                        /** @description Windows that are denoised together, in pixels of the picture */
                        windows: {
                            left: number;
                            top: number;
                            width: number;
                            height: number;
                        }[];
                    }[];
                }[];
            };
            /** @description Share of the pixels of the picture that are in the hole */
            mask_fraction: number;
            /** @description PNG as base64, when num_images > 1: standard deviation across the candidates, 64 levels or more as 255 */
            uncertainty?: string;
        };
        Diffused: {
            model: string;
            /** Format: int64 */
            seed: number;
            /** @enum {string} */
            format: "png" | "jpeg" | "webp";
            images: {
                timestep: number;
                /** @description Share of the signal in this picture */
                abar: number;
                /** @description The encoded picture as base64 */
                data: string;
            }[];
        };
        Job: {
            /** Format: uuid */
            id: string;
            /** @enum {string} */
            task: "inpaint" | "sample";
            /** @enum {string} */
            status: "queued" | "running" | "succeeded" | "failed" | "cancelled";
            progress: {
                /** @description Evaluations of the network that are done */
                step: number;
                /** @description Evaluations in all; 0 before the first */
                of: number;
            };
            /**
             * @description Seconds that the whole job takes on the server if it does nothing else, as estimated from the measured speed of its model; absent until that has been loaded once, and when the job has ended
             * @example 310
             */
            estimate_seconds?: number;
            /** Format: date-time */
            created_at: string;
            /** Format: date-time */
            started_at?: string;
            /** Format: date-time */
            finished_at?: string;
            /** @description The parameters that were sent, and the defaults of others. The model has its version; a seed that was not sent has been drawn */
            parameters: {
                [key: string]: unknown;
            };
            error?: components["schemas"]["Problem"];
            /**
             * @description Addresses of the pictures of the job
             * @example [
             *       "/v1/jobs/00000000-0000-4000-8000-000000000000/images/0"
             *     ]
             */
            images: string[];
            /** @description Address of the stream of events of the job */
            events: string;
            /** @description URL that the job is posted to when it has succeeded or failed */
            webhook?: string;
        };
        JobList: {
            jobs: components["schemas"]["Job"][];
        };
        Model: {
            /** @description The same as `ref`, for clients of OpenAI */
            id: string;
            /** @constant */
            object: "model";
            /**
             * Format: int64
             * @description When the files of the model were written, in seconds since 1970
             */
            created: number;
            owned_by: string;
            /** @example celeba-inpaint-64@3 */
            ref: string;
            /** @description Whether this model serves most of the requests that name no model */
            default: boolean;
            /** @description Share of the requests without a model that this one serves */
            share: number;
            /**
             * @description `available` models load on first use
             * @enum {string}
             */
            state: "available" | "loading" | "ready" | "failed";
            /** @description Why loading failed */
            reason?: string;
            /** @description Identifies the networks: SHA-256 of `unet.onnx`; where there are more files, SHA-256 of the digests of `unet.onnx`, `unet.onnx.data`, `refiner.onnx` and `refiner.onnx.data` */
            digest: string;
            /** @description The networks: `base` draws the fill, `refiner` (if there is one) doubles its resolution */
            stages: {
                /** @enum {string} */
                name: "base" | "refiner";
                /** @example unet.onnx */
                file: string;
                sha256: string;
                /** Format: int64 */
                bytes: number;
                /** @description Side in pixels of the squares that the network processes */
                resolution: number;
                /** @description Whether the engine evaluates it, once the model is loaded */
                served?: boolean;
            }[];
            /** @description Engine and device that evaluate the model; absent until it has been loaded */
            engine?: {
                engine: string;
                device: string;
                device_name: string;
                /** @description Memory of the GPU in bytes, if it is known */
                device_memory_bytes?: number;
                library: string;
                precision: string;
                best_batch: number;
                workers: number;
                workers_alive: number;
                /** @description How the number of workers was chosen */
                workers_reason?: string;
            };
            /** @description Speed of the model on this server; absent until it has been loaded */
            speed?: {
                /** @description Seconds of an evaluation of each network, as measured lately on this server */
                seconds_per_evaluation: {
                    base: number;
                    refiner?: number;
                };
                /** @description Evaluations of the base network for one image at the resolution of the model, with the default steps */
                evaluations_per_fill: number;
                /** @description Seconds of such a fill: the product of evaluations and seconds per evaluation */
                seconds_per_fill: number;
            };
            card: {
                id: string;
                version: string;
                description: string;
                licence: string;
                /** @enum {string} */
                conditioning: "inpaint" | "none";
                resolution: number;
                in_channels: number;
                out_channels: number;
                /** @enum {string} */
                prediction: "epsilon" | "v" | "sample";
                schedule: {
                    /** @constant */
                    type: "cosine";
                    T: number;
                    /** @default 0.008 */
                    s: number;
                    /** @default 0.00001 */
                    abar_min: number;
                } | {
                    /** @constant */
                    type: "linear";
                    T: number;
                    /** @default 0.0001 */
                    beta_start: number;
                    /** @default 0.02 */
                    beta_end: number;
                };
                architecture?: {
                    patch: number;
                    channels: number[];
                    blocks: number;
                    attention: number[];
                    head_dim: number;
                    groups: number;
                    heads?: number;
                    /** @enum {string} */
                    resample?: "conv" | "biggan";
                    adaptive_norm?: boolean;
                };
                defaults: {
                    /** @enum {string} */
                    sampler: "ddpm" | "ddim" | "dpmpp_2m";
                    steps: number;
                    eta: number;
                };
                sampling: {
                    /**
                     * @default trailing
                     * @enum {string}
                     */
                    spacing: "leading" | "trailing" | "linspace" | "log_snr";
                    /**
                     * Format: int64
                     * @default 0
                     */
                    final_timestep: number;
                    /**
                     * @default fixed_small
                     * @enum {string}
                     */
                    variance: "fixed_small" | "fixed_large" | "learned";
                    /** @default true */
                    clip: boolean;
                    /**
                     * @default {
                     *       "jump": 5,
                     *       "times": 3
                     *     }
                     */
                    resampling: {
                        jump: number;
                        times: number;
                    };
                };
                refiner?: {
                    resolution: number;
                    /** @constant */
                    in_channels: 8;
                    /** @constant */
                    out_channels: 3;
                    /** @enum {string} */
                    prediction: "epsilon" | "v" | "sample";
                    schedule: {
                        /** @constant */
                        type: "cosine";
                        T: number;
                        /** @default 0.008 */
                        s: number;
                        /** @default 0.00001 */
                        abar_min: number;
                    } | {
                        /** @constant */
                        type: "linear";
                        T: number;
                        /** @default 0.0001 */
                        beta_start: number;
                        /** @default 0.02 */
                        beta_end: number;
                    };
                    architecture?: {
                        patch: number;
                        channels: number[];
                        embedding: number;
                    };
                    level: number;
                    level_max: number;
                    /** @default 0 */
                    sharpen: number;
                    defaults: {
                        /** @enum {string} */
                        sampler: "ddpm" | "ddim" | "dpmpp_2m";
                        steps: number;
                        eta: number;
                    };
                    sampling: {
                        /**
                         * @default trailing
                         * @enum {string}
                         */
                        spacing: "leading" | "trailing" | "linspace" | "log_snr";
                        /**
                         * Format: int64
                         * @default 0
                         */
                        final_timestep: number;
                        /**
                         * @default fixed_small
                         * @enum {string}
                         */
                        variance: "fixed_small" | "fixed_large" | "learned";
                        /** @default true */
                        clip: boolean;
                        /** Format: int64 */
                        first_timestep?: number;
                    };
                    data: {
                        name: string;
                        licence: string;
                        pictures: number;
                    }[];
                    /** @default {} */
                    training: {
                        [key: string]: unknown;
                    };
                    /** @default {} */
                    metrics: {
                        [key: string]: unknown;
                    };
                    precision: {
                        /** @enum {string} */
                        weights: "fp32" | "fp16";
                        /** @default 0 */
                        max_difference: number;
                    };
                };
                data: {
                    name: string;
                    terms: string;
                    pictures?: number;
                    photographs?: {
                        name: string;
                        licence: string;
                        pictures: number;
                    }[];
                    statistics?: {
                        [key: string]: {
                            mean: number;
                            std: number;
                        };
                    };
                };
                /** @default {} */
                training: {
                    [key: string]: unknown;
                };
                /** @default {} */
                metrics: {
                    [key: string]: unknown;
                };
                precision: {
                    /** @enum {string} */
                    weights: "fp32" | "fp16";
                    /** @default 0 */
                    max_difference: number;
                };
                int8?: {
                    /** Format: int64 */
                    from_timestep: number;
                    within_noise: boolean;
                    /** @default {} */
                    metrics: {
                        [key: string]: unknown;
                    };
                };
                files: {
                    [key: string]: {
                        sha256: string;
                        /** Format: int64 */
                        bytes: number;
                    };
                };
            };
        };
        ModelList: {
            models: components["schemas"]["Model"][];
            /** @constant */
            object: "list";
            /** @description The same as `models`, for clients of OpenAI */
            data: components["schemas"]["Model"][];
        };
        Health: {
            /** @constant */
            status: "ok";
            /** @example celeba-inpaint-64@3 */
            model?: string;
        };
        IOPaintModel: {
            /** @example celeba-inpaint-64 */
            name: string;
            /** @example celeba-inpaint-64@1 */
            path: string;
            /**
             * @description The page fills as soon as a stroke ends
             * @constant
             */
            model_type: "inpaint";
            /** @constant */
            is_single_file_diffusers: false;
            /** @constant */
            need_prompt: false;
            controlnets: string[];
            brushnets: string[];
            /** @constant */
            support_strength: false;
            /** @constant */
            support_outpainting: false;
            /** @constant */
            support_lcm_lora: false;
            /** @constant */
            support_controlnet: false;
            /** @constant */
            support_brushnet: false;
            /** @constant */
            support_powerpaint_v2: false;
        };
        IOPaintServerConfig: {
            plugins: string[];
            modelInfos: components["schemas"]["IOPaintModel"][];
            removeBGModel: string;
            removeBGModels: string[];
            realesrganModel: string;
            realesrganModels: string[];
            interactiveSegModel: string;
            interactiveSegModels: string[];
            /** @constant */
            enableFileManager: false;
            /** @constant */
            enableAutoSaving: false;
            /** @constant */
            enableControlnet: false;
            /** @description Always null: ControlNet is not supported */
            controlnetMethod: string | null;
            /**
             * @description Always true: a switch would change the model for all clients
             * @constant
             */
            disableModelSwitch: true;
            /** @constant */
            isDesktop: false;
            samplers: string[];
        };
        IOPaintPrompts: {
            /** @constant */
            prompt: "";
            /** @constant */
            negative_prompt: "";
        };
        IOPaintError: {
            /**
             * @description The type of the problem
             * @example mask-mismatch
             */
            error: string;
            detail: string;
            /** @constant */
            body: "";
            /** @description The same text as detail; the page shows it */
            errors: string;
        };
        InferResponse: {
            model_name: string;
            /** @example 2 */
            model_version: string;
            id?: string;
            outputs: {
                name: string;
                datatype: string;
                shape: number[];
                /** @description The values, in row-major order; BYTES as base64. Absent when the output is binary */
                data?: (number | string)[];
                parameters?: {
                    /** Format: int64 */
                    binary_data_size: number;
                };
            }[];
        };
        ModelMetadata: {
            name: string;
            versions: string[];
            platform: string;
            inputs: {
                name: string;
                datatype: string;
                shape: number[];
            }[];
            outputs: {
                name: string;
                datatype: string;
                shape: number[];
            }[];
        };
        ModelConfiguration: {
            name: string;
            platform: string;
            /**
             * @description The dims of all tensors include N
             * @constant
             */
            max_batch_size: 0;
            input: {
                name: string;
                /** @example TYPE_FP32 */
                data_type: string;
                /** @description -1: any size */
                dims: number[];
            }[];
            output: {
                name: string;
                /** @example TYPE_FP32 */
                data_type: string;
                /** @description -1: any size */
                dims: number[];
            }[];
        };
        ServerMetadata: {
            name: string;
            version: string;
            extensions: string[];
        };
        InferError: {
            error: string;
        };
        ServerLive: {
            /** @constant */
            live: true;
        };
        ServerReady: {
            /** @constant */
            ready: true;
        };
        ModelReady: {
            name: string;
            /** @constant */
            ready: true;
        };
        Images: {
            /**
             * Format: int64
             * @description Seconds since 1970
             */
            created: number;
            /** @example 96x80 */
            size: string;
            /** @enum {string} */
            output_format: "png" | "jpeg" | "webp";
            quality: string;
            background: string;
            /** @description This service has no tokens */
            usage: {
                /** @constant */
                total_tokens: 0;
                /** @constant */
                input_tokens: 0;
                /** @constant */
                output_tokens: 0;
                input_tokens_details: {
                    /** @constant */
                    text_tokens: 0;
                    /** @constant */
                    image_tokens: 0;
                };
            };
            /**
             * Format: int64
             * @description The same seed gives the same pictures
             */
            seed: number;
            data: {
                b64_json: string;
            }[];
        };
    };
    responses: never;
    parameters: never;
    requestBodies: never;
    headers: never;
    pathItems: never;
}
export type $defs = Record<string, never>;
export type operations = Record<string, never>;
