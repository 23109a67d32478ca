"""Every line of the README and of docs/ is either run by a test as it stands, or listed with the reason why not."""

import re
import shlex

import pytest
from hydra.errors import HydraException
from test_lines_run import CHOICES, LOADED, RUN, typed
from typed_lines import PAGES, all_lines, choices, snippets_of, words_of

from genexp.commands.picture_info import names_file
from genexp.commands.typed_arguments import of_reproduce, overrides_of
from genexp.config.check import problems_of
from genexp.config.compose import compose, initialised
from genexp.config.composition_errors import options

AVERAGES = (
    "genexp train callbacks.averaging.half_life=[20_000,200_000] callbacks.averaging.ramp_up=null",
    "genexp evaluate run=<run> weights=[averaged@20_000,averaged@200_000,raw]",
    "genexp train callbacks/post_hoc=power",
    "genexp sample run=<run> weights=post_hoc@0.15",
    "genexp evaluate run=<run> weights=[post_hoc@0.05,post_hoc@0.1,post_hoc@0.15,post_hoc@0.2] checkpoint=last",
)
BESIDE_PAPERS = (
    "genexp train experiment=espcn/paper training.max_images=300_000 data.source.photographs.root=<folder> "
    "metrics.restored.root=<folder>",
    "genexp train experiment=srcnn/paper data.batch_size=16 data.image_size=36 model.optimizer.lr=1e-3 "
    "ramp@model.learning_rate=cosine training.max_images=150_000 data.source.photographs.root=<folder>",
    "genexp train experiment=srcnn/paper model.conditions.source.degradation.factor=3 data.batch_size=16 "
    "data.image_size=36 model.optimizer.lr=1e-3 ramp@model.learning_rate=cosine training.max_images=280_000 "
    "data.source.photographs.root=<folder>",
)
FINGERPRINTED = (
    'genexp export run=<run> out=for_ann format=safetensors fingerprint="for Ann"',
    'genexp info for_ann/model.safetensors fingerprint="for Ann"',
)
SAFE = ("genexp info samples/images/000002.png",)
MARKED = (
    'genexp sample run=<run> watermark="a secret"',
    'genexp info samples/images/000002.png watermark="a secret"',
    'genexp sample run=<run> watermark="a secret" watermark_in=noise',
    'genexp info samples/images/000002.png watermark="a secret" run=<run>',
)
BETWEEN = (
    "genexp sample run=outputs/captions_attended/<run> 'caption=[a red circle,a blue cross]'",
    'genexp sample run=outputs/captions_attended/<run> caption="a red circle" edit=swapped '
    'edit.source.caption="a red cross" edit.share=0.4',
)
FEW_STEPS = (
    "genexp train experiment=lcm/teacher_digits",
    "genexp train experiment=lcm/digits model.goal.teacher.run=outputs/lcm_teacher_digits/<run>",
    "genexp train experiment=lcm/shapes model.goal.teacher.run=outputs/captions_attended/<run>",
    "genexp train experiment=lcm/shapes_captions model.goal.teacher.run=outputs/ldm_shapes_captions/<run>",
    "genexp train experiment=rectified_flow/ring8",
    "genexp train experiment=rectified_flow/reflow_ring8 model.pairs.flow.run=outputs/rectified_flow_ring8/<run>",
    "genexp train experiment=rectified_flow/reflow model.pairs.flow.run=outputs/rectified_flow_digits/<run>",
)
FROM_FILES = ("genexp train experiment=biggan/digits initial=file initial.weights=generator/model.safetensors",)
RATES = (
    "genexp train experiment=biggan/digits initial=run initial.run=<run> "
    "'training.rate_factors={generator.blocks.*: 0.1, critic: 0.5}'",
)
CHANNELS = ("genexp train data=shapes initial=run initial.run=outputs/quickstart/<run> initial.adapt_channels=true",)
SOUPS = (
    "genexp evaluate run=[<run>,<another run>] soup=uniform",
    "genexp sample run=[<run>,<another run>] soup=[0.7,0.3]",
    "genexp export run=[<run>,<another run>] soup=uniform format=safetensors out=soup",
    "genexp train initial=file initial.weights=soup/model.safetensors",
)
AUGMENTED = (
    "genexp augment",
    "genexp info <picture>",
    "genexp augment run=outputs/cfg_digits/<run> per_class=100 out=my/drawn",
    "genexp train model=classifier data=folder data.source.root=my/drawn data.image_size=8 data.channels=1 "
    "data.num_classes=10",
)
QUANTISED = (
    "genexp sample run=<run> weights=averaged+int8_dynamic",
    "genexp evaluate run=<run> num=1000 weights=[averaged,averaged+int8_weight_only,averaged+int8_dynamic]",
)
PROJECTS = (
    "genexp new",
    "genexp new my_project",
    'genexp validate "experiment=glob(my_project/*)"',
)
EXPORTED = (
    "genexp export run=outputs/gan/<run> out=generator format=onnx licence=mit",
    "genexp export run=outputs/quickstart/<run> out=drawing format=onnx part=sampler sampler.steps=10",
    "genexp export",
    "genexp import",
    "genexp import folder=ddpm-cifar10-32 'train=[data=cifar10]'",
    "genexp export run=outputs/quickstart/<run> out=digits_for_diffusers",
    "genexp export run=outputs/quickstart/<run> out=threes label=3 licence=mit",
    "genexp export run=<run> out=<folder> copies=1000",
)
MACHINES = (
    "genexp train trainer=ddp trainer.num_nodes=2 run_dir=shared/run",
    "genexp train trainer=fsdp trainer.accelerator=cpu trainer.devices=2",
    "genexp train sweep=diffusion_learning_rate hydra.sweeper.n_trials=30 "
    "hydra.sweeper.storage=postgresql+psycopg://ann@host/studies",
)
PUSHED = (
    "genexp export run=outputs/quickstart/<run> out=digits_for_diffusers licence=mit push=ann/digits",
    "genexp import hub=ann/digits 'train=[data=digits]'",
)
PIPELINES = (
    "genexp export run=outputs/stable-diffusion/<run> out=tuned licence=openrail",
    "genexp import folder=stable-diffusion 'train=[data=captioned_folder,data.source.root=birds]'",
    'genexp sample run=outputs/stable-diffusion/<run> caption="a red bird" num=4',
    'genexp sample run=outputs/stable-diffusion/<run> caption="a bird in oil" edit=noised images=birds',
)
RESTORED = (
    "genexp restore",
    "genexp restore run=<run> input=photo.png",
    "genexp restore run=<run> input=photos out=larger tile=128",
    "genexp restore run=<run> input=photo.png degrade=true",
    "genexp restore run=<run> other_run=<another run> share=0.2 input=photo.png",
    "genexp restore run=<run> other_run=<another run> share=0.5 input=china.jpg degrade=true",
)
RESTORATION = (
    "genexp train experiment=srcnn/photographs",
    "genexp train experiment=espcn/photographs model.conditions.source.degradation.factor=4",
    "genexp train experiment=denoising/photographs",
    "genexp train model=restoration data=digits model/degradation=masked data.image_size=8",
    "genexp train experiment=srgan/photographs",
    "genexp train experiment=rrdb/photographs",
)
VIDEO = (
    "genexp train experiment=video/moving_shapes",
    "genexp sample run=outputs/video_moving_shapes/<run> num=12",
    "genexp evaluate run=outputs/video_moving_shapes/<run> num=512",
    "genexp train experiment=video/first_frames",
    "genexp train experiment=video/first_frames model.conditions.first_frames.degradation.frames=1",
    "genexp sample run=outputs/video_first_frames/<run> condition.first_frames=clip.gif",
    "genexp sample run=outputs/video_first_frames/<run> condition.first_frames=photo.png",
    "genexp sample run=outputs/video_moving_shapes/<run> edit=continued images=clip.gif",
)
CASCADES = (
    "genexp train experiment=imagen/base_shapes",
    "genexp train experiment=imagen/super_resolution_shapes",
    'genexp sample run=[<base run>,<super-resolution run>] condition.caption="a large red circle in the centre on a '
    'white background"',
    "genexp evaluate run=[<base run>,<super-resolution run>] num=1000",
    "genexp sample run=<super-resolution run> condition.low_res=my/small condition.low_res_level=0.05",
)
REFINED = (
    "genexp train experiment=sdxl/shapes",
    "genexp train experiment=sdxl/refiner_shapes",
    "genexp sample run=<run> condition.size=[32,32] condition.crop=[4,4]",
    "genexp sample run=[<run>,<refiner run>] switch_at=0.2",
    "genexp evaluate run=[<run>,<refiner run>] switch_at=0.2",
)
UNCLIP = (
    "genexp train experiment=unclip/prior_shapes",
    "genexp train experiment=unclip/decoder_shapes",
    'genexp sample run=[<prior run>,<decoder run>] condition.caption="a large red circle in the centre on a white '
    'background"',
    "genexp sample run=<decoder run> condition.embedding=my/pictures",
)
ATTENDED = (
    "genexp train experiment=captions/attended",
    'genexp sample run=outputs/captions_attended/<run> caption="a small red circle at the top left on a white '
    'background"',
    "genexp train experiment=captions/mm_dit",
    "genexp train experiment=captions/gan",
    'genexp sample run=outputs/captions_attended/<run> caption="a red circle" sampler.guidance.scale=3 '
    'sampler.guidance.negative.caption="a small circle"',
    'genexp sample run=outputs/captions_attended/<run> caption="a red circle" sampler/guidance=per_condition '
    "sampler.guidance.scales={caption:3}",
)
ELSEWHERE = {
    "genexp train experiment=ldm/shapes": "test_every_experiment takes a step of it, tiny",
    "genexp train experiment=ldm/shapes_captions": "test_every_experiment takes a step of it, tiny",
    "genexp train experiment=ldm/first_stage": "test_codes trains it, tiny",
    "genexp sample run=outputs/ldm_shapes/<run> tile=32": "test_codes draws so, tiny",
    "genexp train experiment=ldm/shapes model/codec=trained model.codec.run=<run of the first stage> "
    "model.codec.scale=measured": "test_codes trains it, tiny",
    "genexp sample run=<run of data=shapes at 32 pixels> sampler/guidance=clip_shapes sampler.guidance.scale=3 "
    'caption="a large red circle on black"': "test_clip_guides draws so",
    "genexp sample run=<run> sampler/guidance=clip sampler.guidance.judge.run=outputs/clip_shapes/<run> "
    'caption="a large red circle on black"': "test_clip_guides draws so",
    "genexp train experiment=captions/frozen model.conditions.caption.folder=<clip>/tokenizer "
    "model.network.attended.caption.folder=<clip>/text_encoder": "test_frozen_text trains it, tiny",
    "genexp train experiment=ldm/shapes model/codec=diffusers model.codec.folder=<pipeline>/vae data.image_size=128": (
        "test_diffusers_codec trains it, tiny"
    ),
    "genexp stylize content=china.jpg style=flower.jpg experiment=gatys/imagenet size=384": (
        "test_every_experiment takes a step of it, tiny"
    ),
    "genexp stylize style=flower.jpg style_size=256 size=256 method=quilting patch=48": "test_stylize quilts, tiny",
    "pip install uv": "the registry is not asked by tests; .ci/run does it where uv is missing",
    "git clone <this repository> genexp && cd genexp": "a clone is what these tests run in",
    "pip install -e . -c constraints.txt": ".ci/run installs a wheel under the same constraints and runs it",
    "uv run pytest": "these tests",
    "wandb sync": "a mention of the command below",
    "genexp train model=vae +callbacks.early._target_=lightning.pytorch.callbacks.EarlyStopping "
    "+callbacks.early.monitor=fd +callbacks.early.patience=3": "test_habits trains it, tiny",
    "wandb sync outputs/quickstart/.../wandb/offline-run-20261130_140937-jijb3cub": "W&B's server",
    "genexp train experiment=captions/shapes metrics=caption_truth data.source.held_out=0.1 "
    "data.source.test_shows=both callbacks.evaluate.told=test": "test_caption_truth trains it, tiny",
    "genexp evaluate run=outputs/captions_shapes/<run> metrics=caption_truth told=test num=2000": (
        "test_caption_truth measures so"
    ),
    "genexp train experiment=captions/scenes": "test_scene_reader trains it, tiny",
    'genexp sample run=outputs/captions_scenes/<run> caption="a small red circle on blue"': "test_scene_reader does",
    'genexp sample run=outputs/captions_scenes/<run> caption="a red circle left of a blue square on white"': (
        "test_scene_reader draws so"
    ),
    "genexp train experiment=clip/shapes": "test_contrastive trains it, small",
    "genexp train experiment=captions/folder data.source.root=birds": "test_captioned_folder trains it, tiny",
    "genexp train experiment=ldm/shapes_captions initial=shipped": "test_shipped_weights trains it, tiny",
    'genexp sample run=outputs/ldm_shapes_captions/<run> caption="a small green cross at the top right on a brown '
    'background"': "test_shipped_weights draws captions",
    "genexp sample run=outputs/quickstart/<run> edit=noised images=my/digits "
    "edit.strength=0.5": "test_edited_pictures draws from such pictures",
    "genexp sample run=outputs/quickstart/<run> edit=repaint images=my/digits mask=my/mask.png sampler=ddim "
    "sampler.steps=50": "test_edited_pictures draws from such pictures",
    "genexp train experiment=v_prediction/digits": "test_every_experiment trains it, tiny",
    "genexp train experiment=progressive_distillation/digits "
    "model.goal.teacher.run=outputs/v_prediction_digits/<run>": "test_every_experiment trains it, tiny",
    "genexp train experiment=progressive_distillation/digits model.goal.steps=4 "
    "model.goal.teacher.run=outputs/progressive_distillation_digits/<run>": "test_goal refuses another number of steps",
    "genexp train experiment=consistency/digits": "test_every_experiment trains it, tiny",
    "genexp sample run=outputs/consistency_digits/<run> sampler.steps=null sampler.spacing=[80,0.8]": (
        "test_consistency draws so"
    ),
    "genexp train experiment=consistency/distilled_digits model.goal.teacher.run=outputs/edm_digits/<run>": (
        "test_every_experiment trains it, tiny"
    ),
    **dict.fromkeys(BETWEEN, "test_between_captions draws so"),
    **dict.fromkeys(FEW_STEPS, "test_every_experiment trains it, tiny"),
    "genexp evaluate run=outputs/rectified_flow_reflow_ring8/<run> metrics=straightness": "test_reflow measures so",
    "genexp train experiment=latent/digits model.codec.run=outputs/vae_digits/<run>": "test_trained trains it, tiny",
    "genexp sample run=outputs/cfg_digits/<run> sheet.guidance.scale=[0,1,2,4] wandb=true": "test_sample draws sheets, "
    "test_wandb looks for them",
    "genexp train callbacks.sample_grid.frames=8 callbacks.sample_grid.interpolate=8": "test_sample_grid draws both",
    **dict.fromkeys(AVERAGES, "test_averages trains and measures these averages, tiny"),
    **dict.fromkeys(
        BESIDE_PAPERS, "test_every_experiment trains these recipes, tiny; the rest takes a quarter of an hour"
    ),
    **dict.fromkeys(ATTENDED, "test_captions_end_to_end and test_every_experiment train and draw these, tiny"),
    "genexp sample run=[a,b]": "a mention of lines in docs/cascades.md",
    **dict.fromkeys(REFINED, "test_refining trains, draws and measures these, tiny"),
    **dict.fromkeys(UNCLIP, "test_embedded trains and draws these, tiny"),
    **dict.fromkeys(
        VIDEO, "test_every_experiment trains them, test_video and test_video_conditions draw and measure, tiny"
    ),
    **dict.fromkeys(CASCADES, "test_cascade trains, draws and measures these, tiny"),
    'genexp train data=celeba approval="A. Name, 2026-11-29, study 7 of the ethics board"': (
        "test_approval trains with an approval, and test_lines_run asks for these data"
    ),
    "genexp train data=webdataset data.source.root=FOLDER data.image_size=32 data.num_classes=10": (
        "test_webdataset trains on such shards"
    ),
    "genexp play run=outputs/quickstart/<run>": "test_play asks such a page, test_play_in_browser looks at it",
    "genexp play run=outputs/ldm_shapes_captions/<run>": "test_play asks such a page, test_play_in_browser looks at it",
    "genexp play run=[<run>,<another run>]": "test_play_in_browser looks at two runs",
    "genexp train data=hub data.source.root=FOLDER data.source.label_column=label data.num_classes=10": (
        "test_hub_images reads such folders"
    ),
    **dict.fromkeys(MARKED, "test_watermarked draws and finds such marks, tiny"),
    **dict.fromkeys(FINGERPRINTED, "test_fingerprint exports and finds such"),
    **dict.fromkeys(SAFE, "test_picture_info asks of such pictures"),
    **dict.fromkeys(FROM_FILES, "test_transfer_of_files begins so, tiny"),
    **dict.fromkeys(CHANNELS, "test_channels begins so, tiny"),
    **dict.fromkeys(SOUPS, "test_soup draws and measures so, test_transfer_of_files begins with one"),
    **dict.fromkeys(AUGMENTED, "test_augment writes and reads such folders"),
    **dict.fromkeys(RATES, "test_rates trains so, tiny"),
    **dict.fromkeys(QUANTISED, "test_quantising draws and measures such weights, tiny"),
    **dict.fromkeys(PROJECTS, "test_new makes such a project, trains it and runs its test"),
    **dict.fromkeys(EXPORTED, "test_export, test_export_parts and test_import write and read such folders"),
    **dict.fromkeys(MACHINES, "test_nodes, test_sharding and test_study_on_postgres type such"),
    **dict.fromkeys(PUSHED, "test_hub types such, against a server that stands for the hub"),
    **dict.fromkeys(PIPELINES, "test_import_stable_diffusion types such, on a tiny one"),
    **dict.fromkeys(RESTORED, "test_restore restores such pictures"),
    **dict.fromkeys(RESTORATION, "test_every_experiment trains these recipes, tiny"),
    "genexp train experiment=esrgan/photographs initial=run initial.run=<run> 'initial.only=[generator]'": (
        "test_super_resolution begins so"
    ),
    "genexp train experiment=rrdb/photographs model.generator.depth=2 ramp@model.learning_rate=cosine "
    "data.batch_size=8 data.source.photographs.root=<folder> data.source.photographs.on_bad_image=skip "
    "training.max_images=60_000": (
        "docs/restoration.md has what it gave; test_every_experiment trains the recipe, tiny"
    ),
    "genexp train experiment=esrgan/photographs model.generator.depth=2 initial=run initial.run=<run> "
    "'initial.only=[generator]' model.adversarial_weight=0.03 model.generator_penalties.perceptual.weight=0.3 "
    "model.generator_optimizer.lr=3e-4 model.critic_optimizer.lr=3e-4 model.reuse_fakes=true data.batch_size=8 "
    "data.image_size=64 data.source.photographs.root=<folder> data.source.photographs.on_bad_image=skip "
    "training.max_images=12_000": "docs/restoration.md has what it gave; test_super_resolution begins so",
    "genexp train experiment=esrgan/photographs model.reconstruction_first=16_000 training.max_images=32_000": (
        "test_super_resolution trains so, shorter"
    ),
    "genexp evaluate run=<run> metrics=[fd,spectrum] sampler=interpolated "
    "sampler.other.run=<another run> sampler.share=0.2": "test_super_resolution measures so",
    "genexp train experiment=esrgan/paper initial=published initial.weights=RRDB_ESRGAN_x4.pth": (
        "test_super_resolution begins with such a file"
    ),
    "genexp restore published=<file>": "a mention of the line above",
    "genexp restore published=RRDB_ESRGAN_x4.pth input=photo.png": "test_restore restores by such a file",
    "genexp train experiment=johnson/offline": "test_every_experiment trains it, tiny",
    "genexp train experiment=adain/offline": "test_every_experiment trains it, tiny",
    "genexp stylize content=my/photos method=johnson run=<run> size=null": "test_stylize paints so",
    "genexp stylize content=photo.jpg style=[a.jpg,b.jpg] style_weights=[2,1] method=adain run=<run>": (
        "test_stylize blends so"
    ),
    "genexp train experiment=super_resolution/digits": "test_degraded trains it, tiny",
    "genexp train experiment=pix2pix/contrasts": "test_image_to_image trains it, shorter",
    "genexp train experiment=cycle_gan/contrasts": "test_every_experiment trains it, tiny",
    "genexp train experiment=pix2pix/contrasts model.adversarial_weight=0": "test_image_to_image_gan trains so",
    "genexp sample run=<run> condition.source=my/slices": "test_image_to_image draws from own pictures",
    "genexp evaluate run=<run> metrics=translation metrics.translation.split=test": "test_image_to_image measures so",
    "genexp train experiment=pix2pix/facades data.source.root=FOLDER": "test_every_experiment trains it on such files",
    "genexp train experiment=cycle_gan/horse2zebra data.source.root=FOLDER data.source.source_root=FOLDER": (
        "test_every_experiment trains it on such folders"
    ),
    "genexp train experiment=relativistic/mnist": "test_every_experiment trains it on such files, tiny",
    "genexp train experiment=relativistic/mnist data=folder data.source.root=<folder> data.image_size=32 "
    "data.num_classes=10 data.batch_size=32 model.generator.latent_size=64 model.generator.width=48 "
    "model.critic.discriminator.width=32 training.max_images=600_000 metrics=[fd,precision_recall] "
    "extractor=cifar_vgg": "needs the 50,000 pictures, for 44 minutes",
    "genexp train experiment=digits_classifier data=mnist data.image_size=32 data.augment=[] "
    "training.max_images=60000": "test_trained_features trains a classifier, of 8 x 8 digits",
    "genexp evaluate run=<run> extractor=trained_classifier extractor.run=<the classifier> "
    "metrics=[fd,precision_recall,recognised,vendi] num=2000": "test_trained_features measures so",
    "genexp train experiment=biggan/digits 'data.classes=[0,1,2,3,4]' data.num_classes=5": "test_every_experiment "
    "trains it, tiny",
    "genexp train experiment=freeze_d/digits initial.run=outputs/biggan_digits/<run>": "test_every_experiment "
    "trains it, tiny",
    "genexp train experiment=cgan/digits initial=run initial.run=<run> "
    "'initial.reset=[generator.embedding,critic.discriminator.planes]'": "test_transfer trains it, tiny",
    "genexp train experiment=cfg/digits initial=run initial.run=<run> adapters=low_rank adapters.rank=4": (
        "test_low_rank trains so"
    ),
    "genexp train experiment=textual_inversion/shapes initial.run=outputs/ldm_shapes_captions/<run> "
    "data.source.root=zubs data.source.captions.added={zub:circle}": "test_new_words trains it, tiny",
    "genexp sample run=outputs/textual_inversion_shapes/<run> "
    'caption="a large zub in the centre on a white background"': "test_new_words draws so",
    "genexp train experiment=control_net/shapes initial.run=outputs/captions_attended/<run>": (
        "test_control_net trains it, tiny"
    ),
    'genexp sample run=outputs/control_net_shapes/<run> caption="a red circle" condition.edges=edges.png': (
        "test_control_net draws so"
    ),
    "genexp train experiment=vd_vae/digits": "test_every_experiment trains it, tiny",
    "genexp train experiment=nvae/digits 'model.ladder.groups=[4,16,20]'": "test_every_experiment trains it, tiny",
    "genexp sample run=<run> sampler.temperature=0.7": "test_hierarchy_run draws so",
    "genexp train experiment=biggan/digits": "test_every_experiment trains it, tiny",
    "genexp train experiment=tiny_gan/digits model.teacher.run=outputs/biggan_digits/<run>": "test_every_experiment "
    "trains it, tiny",
    "genexp sample run=[<run>,<another run>] shares=[0.7,0.3]": "test_ensemble draws so",
    "genexp evaluate run=[<run>,<another run>] shares=[0.7,0.3]": "test_ensemble measures so",
    **dict.fromkeys(
        (
            "genexp train experiment=gated_pixelcnn/digits",
            "genexp train experiment=gated_pixelcnn/digits model/density/network=image_transformer "
            "model.density.network.positions=rotary",
            "genexp train experiment=pixelcnn_pp/digits",
        ),
        "test_likelihood trains these densities, tiny",
    ),
    **dict.fromkeys(
        (
            "genexp train experiment=vq_vae/digits",
            "genexp train experiment=fsq/digits",
            "genexp train experiment=vq_prior/digits model.codec.run=outputs/vq_vae_digits/<run>",
        ),
        "test_every_experiment and test_tokens train them, tiny",
    ),
    **dict.fromkeys(
        (
            "genexp train experiment=glow/digits",
            "genexp train experiment=glow/digits model/density/transform/permutation=shuffle "
            "model/density/transform/block/element=additive",
            "genexp train experiment=variational_dequantisation/digits",
            "genexp train experiment=nice/digits",
            "genexp train experiment=neural_spline/points",
            "genexp train experiment=maf/points",
            "genexp train experiment=residual_flow/points",
        ),
        "test_every_experiment trains these flows, tiny",
    ),
    "genexp sample run=<run> sheet.temperature=[0.5,0.8,1]": "test_likelihood draws such a sheet",
    "genexp train experiment=dall_e/shapes": "test_every_experiment trains it, tiny",
    'genexp sample run=<run> condition.caption="a large red circle in the centre on a white background"': (
        "test_captions_end_to_end draws by this caption"
    ),
    "genexp train experiment=dall_e/shapes_codes model.codec.run=<run>": "test_every_experiment trains it, tiny",
    "genexp sample run=<run> edit=completed images=my/digits mask=my/mask.png": "test_likelihood draws so",
    **dict.fromkeys(
        (
            "genexp train experiment=iwae/digits model.bound.samples=50 metrics=importance_likelihood",
            "genexp train experiment=rae/digits metrics=[fd,autoencoding]",
            "genexp train experiment=factor_vae/digits 'metrics=[rate_distortion,active_units]'",
        ),
        "test_every_experiment trains them, test_likelihood measures so",
    ),
    "genexp evaluate": "a mention of the command",
    "genexp compare": "a mention of the command",
    "genexp reproduce": "a mention of the command",
    "genexp sample": "a mention of the command",
    "genexp sweep": "a mention of the command",
}
"""Lines that no test runs, and why."""

NO_CHOICES = {
    ("genexp train experiment=cfg/digits", "conf/experiment/"): "every experiment trains in test_every_experiment",
    ("genexp train logger=[wandb,csv]", "WANDB_MODE=online"): "W&B's server; a stand-in is asked in test_wandb_views",
    ("genexp train logger=[wandb,csv]", "mlflow"): "test_mlflow reads it back",
    ("genexp train logger=[wandb,csv]", "comet"): "test_comet reads it back",
}
"""Words of the table of words that no test types, and why."""


def test_every_line_of_every_page_is_run_or_has_a_reason_why_not():
    lines = set(all_lines())
    assert len(lines) > 50
    assert lines - set(RUN) - set(ELSEWHERE) == set(), "lines that are not covered: add them to test_lines_run.RUN"
    assert (set(RUN) | set(ELSEWHERE)) - lines == set(), "tests of lines that no page has any more"
    assert set(RUN) & set(ELSEWHERE) == set()


def test_every_choice_of_the_table_of_words_is_run_or_has_a_reason_why_not():
    offered = {(line, choice) for line, listed in choices() for choice in listed}
    assert offered == set(CHOICES) | set(NO_CHOICES)
    assert set(CHOICES) & set(NO_CHOICES) == set()
    assert all(CHOICES[each] == RUN[typed(*each)] for each in CHOICES if typed(*each) in RUN)  # run once, as a line


@pytest.mark.parametrize("group", ["model", "data", "trainer", "logger", "debug"])
def test_the_table_of_words_has_every_choice_that_there_is(group):
    """Those of data that need a model of their own are left to `genexp info`."""
    (row,) = [f"{line} {' '.join(listed)}" for line, listed in choices() if f"genexp train {group}=" in line]
    missing = {each for each in options(group) if "/" not in each and not re.search(rf"\b{each}\b", row)}
    assert missing <= {
        "one_pair",
        "one_style",
        "content_style",
        "moving_shapes",
        "contrasts",
        "sized_shapes",
        "embedded_shapes",
        "paired_folder",
        "unpaired_folders",
        "captioned_folder",
        "webdataset",
        "hub",
        "contrastive",
        "photographs",
    }


def test_every_python_snippet_is_run_or_shows_a_form():
    found = [each for page in PAGES for each in snippets_of(page)]
    assert found[0] == LOADED
    assert [each.split("(")[0] for each in found[1:]] == ["def prepare"]  # what a metric of one's own has, run by MINE


def composed(line: str) -> tuple[str, list[str]]:
    """The command and the overrides that Hydra is given for a line."""
    name, *arguments = shlex.split(line.partition("genexp ")[2].replace("<run folder>", "one"))
    if name == "reproduce":
        arguments = [of_reproduce(each) for each in arguments]
    return name, overrides_of(name, [each for each in arguments if not each.startswith("ablation=")])


OF_A_RUN = (
    "resume=<",
    "resume=outputs",
    "sweep.resume=",
    "-m ",
    "--config-dir",
    "sweep=diff",
    "+metrics",
    "sweep wandb",
)


@pytest.mark.parametrize("line", [each for each in RUN if not any(word in each for word in OF_A_RUN)])
def test_a_line_composes_as_it_stands(line):
    name, overrides = composed(line)
    if name in ("validate", "info"):
        assert overrides in ([], ["metrics"]) or names_file(overrides[0])
        return
    assert [each for each in problems_of(name, overrides) if "Interpolation key 'data." not in each] == []


def test_words_in_the_readmes_running_text_are_overrides_of_some_command():
    """Such as `model=gan` at the head of a column, or `launcher=slurm`."""
    words = words_of("README.md")
    assert {"experiment=vae/class_conditional", "model=style", "launcher=slurm"} <= set(words)
    with initialised():
        for word in words:
            assert any(_fits(*place, word) for place in PLACES), word


PLACES = [("train",), ("train", "model=style")]
PLACES += [(name,) for name in ("evaluate", "sample", "compare", "reproduce", "export")]


def _fits(name: str, *overrides: str) -> bool:
    try:
        compose(name, overrides_of(name, list(overrides)))
    except HydraException:
        return False
    return True
