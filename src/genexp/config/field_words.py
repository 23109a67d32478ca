"""What other libraries and papers call the keys and choices that stand here under another name. Imports no torch."""

import re
from typing import NamedTuple

_OF = {
    "sampler.steps": "num_inference_steps inference_steps sampling_steps sample_steps num_steps nfe ddim_steps",
    "model.schedule.steps": "num_train_timesteps num_timesteps timesteps n_timesteps diffusion_steps noise_steps",
    "model/schedule": "beta_schedule noise_schedule scheduler schedule_name",
    "model.schedule.start": "beta_start beta_min",
    "model.schedule.end": "beta_end beta_max",
    "model/prediction": "prediction_type predict parameterization mean_type model_mean_type pred_type target_type",
    "model/variance": "variance_type var_type model_var_type learn_sigma",
    "model/objective": "loss_type loss_fn",
    "model/weighting": "loss_weighting snr_weighting min_snr",
    "model.weighting.gamma": "snr_gamma min_snr_gamma",
    "model.label_dropout": "p_uncond cond_drop_prob class_dropout_prob uncond_prob cfg_dropout",
    "sampler.guidance.scale": "guidance_scale cfg cfg_scale guidance guidance_weight guidance_strength w",
    "sampler.guidance.rescale": "guidance_rescale cfg_rescale",
    "sampler.eta": "eta ddim_eta",
    "sampler.spacing": "timestep_spacing ddim_discretize time_spacing",
    "callbacks.averaging.half_life": "ema_decay ema_rate ema_beta ema ema_halflife ema_kimg ema_half_life",
    "callbacks.averaging.ramp_up": "ema_rampup ema_warmup ema_rampup_ratio",
    "training.max_images": "epochs num_epochs n_epochs max_iters iterations num_iterations n_iter niter total_steps "
    "train_steps max_train_steps num_train_steps train_num_steps kimg total_kimg",
    "training.evaluate_every": "eval_every eval_interval eval_steps sample_interval sample_every",
    "training.checkpoint_every": "save_every save_interval save_steps snapshot_interval checkpointing_steps",
    "training.log_every": "log_interval log_freq logging_steps print_every log_steps",
    "training.accumulate": "gradient_accumulation_steps accumulate_grad grad_accum gradient_accumulate_every "
    "accumulation_steps",
    "training.recompute": "gradient_checkpointing activation_checkpointing use_checkpoint grad_checkpoint remat",
    "trainer.precision": "mixed_precision fp16 bf16 amp use_fp16",
    "trainer.accelerator": "device use_gpu cuda",
    "trainer.devices": "gpus num_gpus ngpu n_gpu",
    "data.batch_size": "batch bs batch_sz train_batch_size per_device_train_batch_size batch_gpu",
    "data.image_size": "resolution img_size imsize image_resolution",
    "data.workers": "num_workers num_loader_workers dataloader_num_workers",
    "model.optimizer.lr": "learning_rate base_lr base_learning_rate",
    "model.generator_optimizer.lr": "learning_rate g_lr lr_g glr lrg",
    "model.critic_optimizer.lr": "learning_rate d_lr lr_d dlr lrd",
    "model.optimizer.betas": "adam_betas beta1 b1 beta2 b2 adam_beta1 adam_beta2",
    "model.generator_optimizer.betas": "beta1 b1 beta2 b2",
    "model.optimizer.weight_decay": "wd adam_weight_decay",
    "model.learning_rate.warmup": "lr_warmup lr_warmup_steps warmup_steps warmup",
    "model.clip": "grad_clip gradient_clip clip_grad max_grad_norm grad_norm_clip",
    "model.network.width": "model_channels base_channels ch dim hidden_size num_channels nf dim_model",
    "model.network.multipliers": "channel_mult dim_mults ch_mult channel_multipliers block_out_channels",
    "model.network.blocks": "num_res_blocks layers_per_block n_res_blocks",
    "model.network.attention": "attention_resolutions attn_resolutions attn_res",
    "model.network.heads": "num_heads attention_heads num_attention_heads",
    "model.critic_steps": "n_critic d_steps critic_iters disc_iters num_critic d_steps_per_iter ndis",
    "model.critic.penalties.gradient_penalty.weight": "lambda_gp gp_weight gp_lambda lambda_term",
    "model.critic.penalties.r1.weight": "r1_gamma r1_weight lambda_r1 r1_reg",
    "model.critic.constraints.weight_clip.bound": "clip_value weight_clip clip_bound",
    "model/critic/objective": "gan_mode gan_loss gan_type adv_loss",
    "model/critic/penalties": "grad_penalty gradient_penalty_type",
    "model.generator.latent_size": "z_dim latent_dim nz zdim dim_z noise_dim latent_channels",
    "model.latent_size": "z_dim latent_dim nz zdim dim_z latents",
    "model.generator.width": "ngf g_ch g_conv_dim",
    "model.critic.discriminator.width": "ndf d_ch d_conv_dim",
    "model.beta.value": "kl_weight kld_weight beta_vae kl_beta",
    "model.num_classes": "n_classes num_class class_cond n_class y_dim",
    "num": "num_samples n_samples num_images n_images sample_num",
    "resume": "ckpt_path resume_from resume_from_checkpoint resume_ckpt",
    "run": "ckpt_path checkpoint_path model_path pretrained_model_name_or_path network_pkl ckpt",
    "logger.wandb.project": "wandb_project project_name",
}

KEYS: dict[str, tuple[str, ...]] = {}
"""Our keys, and groups of parts with a /, by the words of others for them."""
for _key, _words in _OF.items():
    for _word in _words.split():
        KEYS[_word] = (*KEYS.get(_word, ()), _key)

UNITS = {
    "training.max_images": "in images",
    "training.evaluate_every": "in images",
    "training.checkpoint_every": "in images",
    "training.log_every": "in images",
    "callbacks.averaging.half_life": "in images: batch size x ln 2 / -ln(decay)",
}
"""What keys are counted in that others count in batches or epochs."""

_SAMPLERS = {
    "dpm_solver_2m": "dpmpp dpmpp2m dpmsolverpp dpmsolverpp2m dpmsolvermultistep dpmsolver2m kdpmpp2m kdpmpp2mkarras "
    "dpmpp2mkarras dpmmultistep",
    "dpm_solver sampler.along=image sampler.order=2": "dpmpp2s dpmsolversinglestep kdpmpp2s dpmsolverpp2s",
    "dpm_solver sampler.order=2": "dpm2 kdpm2 dpmsolver2",
    "dpm_solver": "dpm dpmsolver dpmsolver3",
    "euler": "keuler eulerdiscrete flowmatcheuler flowmatcheulerdiscrete flow ode rectifiedflow",
    "ddim sampler.eta=1": "eulera keulera eulerancestral keulerancestral eulerancestraldiscrete",
    "heun": "kheun heundiscrete edm edmheun heun2",
    "edm_stochastic": "edmsde churn",
    "unipc": "unipcmultistep unipcbh2 unipcbh1",
    "plms": "lms klms",
    "consistency": "lcm cm consistencymodel",
    "ddpm": "ancestral ddpmparallel sde",
    "ddim": "ddimparallel ddiminverse",
}

CHOICES: dict[str, dict[str, str]] = {
    "sampler": {word: choice for choice, words in _SAMPLERS.items() for word in words.split()},
    "schedule": {
        "squaredcoscapv2": "cosine",
        "flowmatching": "rectified_flow",
        "flow": "rectified_flow",
        "karras": "edm",
        "vesde": "variance_exploding",
        "vpsde": "linear_continuous",
        "vp": "linear_continuous",
        "ve": "variance_exploding",
    },
    "prediction": {
        "eps": "epsilon",
        "noise": "epsilon",
        "x0": "sample",
        "xstart": "sample",
        "predx0": "sample",
        "v": "velocity",
        "vprediction": "velocity",
        "flowprediction": "flow",
        "predv": "velocity",
        "prednoise": "epsilon",
    },
    "variance": {"learnedrange": "learned_range", "learned": "learned_range"},
    "weighting": {"snr": "min_snr", "minsnr5": "min_snr"},
    "objective": {
        "wgan": "wasserstein",
        "wgangp": "wasserstein model/critic/penalties=gradient_penalty",
        "lsgan": "least_squares",
        "ls": "least_squares",
        "nsgan": "non_saturating",
        "vanilla": "non_saturating",
        "bce": "non_saturating",
        "mse": "weighted_error",
        "l2": "weighted_error",
        "huber": "pseudo_huber",
        "vlb": "bound",
    },
    "model": dict.fromkeys(("ddpm", "ddim", "edm", "unet", "score", "flow", "dit", "ldm"), "diffusion")
    | dict.fromkeys(("wgan", "dcgan", "wgangp", "lsgan", "sngan", "stylegan", "biggan"), "gan"),
}
"""Our choices, perhaps with keys beside them, by the group's last word and the plain words of others for them."""

_ENDINGS = ("scheduler", "solver", "sampler", "multistep")


class MeantChoice(NamedTuple):
    """What was meant by a choice that does not exist: one that does, and what to type beside it."""

    name: str
    beside: str


def meant_choice(group: str, word: str, known: list[str]) -> MeantChoice | None:
    """The choice of a group that another library calls `word`; a number behind it is taken for steps of a sampler.

    Args:
        group: As in `sampler` or `model/critic/objective`.
        word: What was typed.
        known: The choices that there are.
    """
    table = CHOICES.get(group.rpartition("/")[2], {}) | {_plain(name): name for name in known}
    plain = _plain(word)
    stems = [plain, *(plain.removesuffix(ending) for ending in _ENDINGS if plain.endswith(ending))]
    for stem in stems:
        if (found := table.get(stem)) and found.split()[0] in known:
            return MeantChoice(*_parts(found))
    number = re.fullmatch(r"(\D.*?)(\d+)", plain)
    if number and group == "sampler" and (found := table.get(number[1])):
        name, beside = _parts(found)
        return MeantChoice(name, f"{beside} sampler.steps={number[2]}".strip())
    return None


def _parts(found: str) -> tuple[str, str]:
    name, _, beside = found.partition(" ")
    return name, beside


def _plain(word: str) -> str:
    return re.sub(r"[^a-z0-9]", "", word.lower().replace("++", "pp"))
