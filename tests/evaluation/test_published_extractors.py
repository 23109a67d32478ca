import hashlib
import sys
from pathlib import Path

import pytest
import torch
from torchvision.models import vgg16

from genexp.conditioning.base import Conditioning
from genexp.data.datamodule import ImageData
from genexp.data.shapes import Shapes
from genexp.evaluation.captions import ClassCaptions, ToldCaptions, require_told
from genexp.evaluation.evaluator import Evaluator
from genexp.evaluation.extractors.clip_features import ClipFeatures
from genexp.evaluation.extractors.dino_features import DinoFeatures
from genexp.evaluation.extractors.resizing import resized
from genexp.evaluation.extractors.untrained import Pixels
from genexp.evaluation.extractors.vgg_features import VggFeatures
from genexp.evaluation.images import ImageSet
from genexp.evaluation.metrics.clip_score import ClipScore
from genexp.evaluation.scores import Generated
from genexp.evaluation.summaries import CaptionedStore, FeatureStore
from genexp.networks.vision_transformer import VisionTransformer
from genexp.sampling.conditions import as_in_training
from genexp.shipped import WrongDigest

WORDS = ["a", "photo", "of", "red", "green", "circle", "square"]


def noise(count, *shape, seed=0):
    return torch.rand(count, *shape, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def sha256(path):
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def unreachable(*_, **__):
    raise OSError("no route")


@pytest.fixture(scope="module")
def vgg_file(tmp_path_factory):
    """A state dict of the genuine format and sizes, small on disk since most rows of the linear layers are one row."""
    with torch.device("meta"):
        shapes = {name: tensor.shape for name, tensor in vgg16().state_dict().items()}
    generator, state = torch.Generator().manual_seed(0), {}
    for name, shape in shapes.items():
        linear = name.startswith("classifier") and len(shape) == 2
        stored = torch.Size([1, shape[1]]) if linear else shape
        scale = (2 / stored[1:].numel()) ** 0.5 if len(stored) > 1 else 0.01
        values = torch.randn(stored, generator=generator) * scale
        state[name] = (values.abs() if linear else values).expand(shape)
    path = tmp_path_factory.mktemp("vgg") / "vgg16.pth"
    torch.save(state, path)
    return str(path)


@pytest.fixture(scope="module")
def dino_file(tmp_path_factory):
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("dino") / "dino.pth"
    network = VisionTransformer(width=64, depth=1, heads=1, patch_size=14, grid=4)
    for block in network.blocks:
        for scale in (block.ls1, block.ls2):
            scale["gamma"].data.fill_(1)
    torch.save(network.state_dict(), path)
    return str(path)


@pytest.fixture(scope="module")
def clip_folder(tmp_path_factory):
    transformers = pytest.importorskip("transformers")
    folder = tmp_path_factory.mktemp("clip")
    letters = sorted({letter for word in WORDS for letter in word})
    pieces = ["<|startoftext|>", "<|endoftext|>", *letters, *(f"{letter}</w>" for letter in letters)]
    vocabulary = {piece: i for i, piece in enumerate(pieces)}
    transformers.CLIPTokenizer(vocab=vocabulary, merges=[]).save_pretrained(folder)
    sizes = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    ends = {"bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 1}
    config = transformers.CLIPConfig(
        text_config={**sizes, **ends, "vocab_size": len(vocabulary), "max_position_embeddings": 40},
        vision_config={**sizes, "image_size": 16, "patch_size": 8},
        projection_dim=8,
    )
    torch.manual_seed(0)
    transformers.CLIPModel(config).save_pretrained(folder)
    return str(folder)


def test_vgg_features_are_the_rectified_second_linear_layer(vgg_file):
    extractor = VggFeatures(16, vgg_file)
    image = noise(1, 1, 32, 32)
    found = extractor(image)
    with torch.device("meta"):
        model = vgg16()
    model.load_state_dict(torch.load(vgg_file), assign=True)
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    enlarged = resized(image, 224, "torch_antialias").expand(-1, 3, -1, -1)
    pixels = ((enlarged + 1) / 2 - mean.reshape(1, 3, 1, 1)) / std.reshape(1, 3, 1, 1)
    with torch.no_grad():
        maps = model.avgpool(model.features(pixels)).flatten(1)
        expected = model.classifier[3](model.classifier[0](maps).relu()).relu()
    assert found.shape == (1, extractor.dimensions)
    assert found.std() > 0
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
    assert (extractor.name, extractor.digest, extractor.resize) == ("vgg16", sha256(vgg_file), "torch_antialias")


def test_vgg_refuses_what_is_not_its_file(vgg_file, tmp_path, monkeypatch):
    with pytest.raises(WrongDigest, match="must have a SHA-256 that begins with 12345678, got"):
        VggFeatures(16, vgg_file, digest="12345678")
    with pytest.raises(ValueError, match=r"weights must hold features.16.weight of shape \(256, 256, 3, 3\)"):
        VggFeatures(19, vgg_file)
    with pytest.raises(ValueError, match="depth must be one of 16, 19, got 13"):
        VggFeatures(13)
    with pytest.raises(ValueError, match="resize must be one of"):
        VggFeatures(16, vgg_file, resize="box")
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    monkeypatch.setattr(torch.hub, "download_url_to_file", unreachable)
    with pytest.raises(ConnectionError, match=r"vgg19-dcbb9e9d.pth cannot be reached \(no route\)"):
        VggFeatures(19)


def test_dino_features_are_the_class_token_and_do_not_depend_on_the_batch(dino_file):
    extractor = DinoFeatures(weights=dino_file, image_size=56, digest=sha256(dino_file)[:8])
    assert (extractor.name, extractor.dimensions, extractor.resize) == ("dinov2_vit6414_56", 64, "pil_clean")
    assert extractor.digest == sha256(dino_file)
    image = noise(5, 3, 32, 32)
    found = extractor(image)
    assert found.shape == (5, 64)
    assert not found.requires_grad
    torch.testing.assert_close(torch.cat([extractor(part) for part in image.split(2)]), found, rtol=1e-4, atol=1e-5)
    assert not torch.allclose(found[0], found[1], atol=1e-3)
    grey = noise(2, 1, 20, 20)
    torch.testing.assert_close(extractor(grey), extractor(grey.expand(-1, 3, -1, -1)))


def test_dino_refuses_what_is_not_its_file(dino_file, vgg_file, tmp_path, monkeypatch):
    with pytest.raises(WrongDigest, match="must have a SHA-256 that begins with 12345678, got"):
        DinoFeatures(weights=dino_file, digest="12345678")
    with pytest.raises(ValueError, match="weights must be DINOv2's state dict"):
        DinoFeatures(weights=vgg_file)
    with pytest.raises(ValueError, match="image_size must be a multiple of 14, got 60"):
        DinoFeatures(weights=dino_file, image_size=60)
    with pytest.raises(ValueError, match="size must be one of s, b, l, got g"):
        DinoFeatures("g")
    with pytest.raises(FileNotFoundError, match="weights must be a file with a DINOv2 state dict, got"):
        DinoFeatures(weights=str(tmp_path / "none.pth"))
    state = torch.load(dino_file)
    del state["blocks.0.mlp.fc1.weight"]
    torch.save(state, tmp_path / "part.pth")
    with pytest.raises(ValueError, match=r"weights must hold blocks.0.mlp.fc1.weight of shape \(256, 64\)"):
        DinoFeatures(weights=str(tmp_path / "part.pth"))
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    monkeypatch.setattr(torch.hub, "download_url_to_file", unreachable)
    with pytest.raises(ConnectionError, match=r"dinov2_vitl14_pretrain.pth cannot be reached \(no route\)"):
        DinoFeatures("l")


def test_clip_features_are_those_of_transformers(clip_folder):
    import transformers

    extractor = ClipFeatures(folder=clip_folder, resize="none")
    assert (extractor.name, extractor.dimensions, extractor.image_size) == ("clip_8_patch8_16", 8, 16)
    assert extractor.digest == sha256(f"{clip_folder}/model.safetensors")
    image, captions = noise(3, 3, 16, 16), ["a photo of a red circle", "a green square", "a photo"]
    model = transformers.CLIPModel.from_pretrained(clip_folder)
    tokenizer = transformers.CLIPTokenizer.from_pretrained(clip_folder)
    mean = torch.tensor([0.48145466, 0.4578275, 0.40821073]).reshape(1, 3, 1, 1)
    std = torch.tensor([0.26862954, 0.26130258, 0.27577711]).reshape(1, 3, 1, 1)
    tokens = tokenizer(captions, padding=True, return_tensors="pt")
    with torch.no_grad():
        expected = model(pixel_values=((image + 1) / 2 - mean) / std, **tokens)
    unit = extractor(image) / extractor(image).norm(dim=1, keepdim=True)
    torch.testing.assert_close(unit, expected.image_embeds)
    words = extractor.text(captions)
    torch.testing.assert_close(words / words.norm(dim=1, keepdim=True), expected.text_embeds)
    torch.testing.assert_close(torch.cat([extractor.text([caption]) for caption in captions]), words)


def test_clip_refuses_what_is_not_its_model(clip_folder, tmp_path, monkeypatch):
    with pytest.raises(WrongDigest, match="must have a SHA-256 that begins with 12345678, got"):
        ClipFeatures(folder=clip_folder, digest="12345678")
    with pytest.raises(FileNotFoundError, match=r"folder must hold config.json and model.safetensors or"):
        ClipFeatures(folder=str(tmp_path))
    import huggingface_hub

    monkeypatch.setattr(huggingface_hub, "snapshot_download", not_kept)
    monkeypatch.setattr(huggingface_hub, "list_repo_files", unreachable)
    with pytest.raises(ConnectionError, match=r"openai/clip-vit-base-patch32 cannot be downloaded .*no route"):
        ClipFeatures()
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(ModuleNotFoundError, match=r"CLIP features need transformers: pip install 'genexp\[hub\]'"):
        ClipFeatures(folder=clip_folder)


def not_kept(*_, local_files_only=False, **__):
    from huggingface_hub.errors import LocalEntryNotFoundError

    assert local_files_only
    raise LocalEntryNotFoundError("not kept")


def test_captions_come_from_classes_or_are_what_samples_were_told():
    source = Shapes(16, captions=True)
    store = CaptionedStore(1)
    store.update(torch.zeros(2, 1), torch.arange(2), torch.tensor([0, 7]))
    store.add_captions(source.captions.read(["a red circle", "a cross on white"]))
    assert ClassCaptions(source).of(store) == ["a photo of a red circle", "a photo of a green square"]
    assert ToldCaptions(source).of(store) == ["a red circle", "a cross on white"]
    with pytest.raises(ValueError, match=r"template must have \{\} in the place of the class, got 'x'"):
        ClassCaptions(source, "x")
    for without in (Pixels(1, 4), Shapes(16)):
        kind = type(without).__name__
        with pytest.raises(ValueError, match=f"source must have captions that a model is told, got {kind} without"):
            ToldCaptions(without)


def test_clip_score_holds_pictures_against_the_captions_that_they_were_drawn_under(clip_folder):
    extractor, source = ClipFeatures(folder=clip_folder), Shapes(16, captions=True)
    data = ImageData(source, shape=[3, 16, 16], num_classes=None, image_size=16, channels=3, batch_size=32)
    conditions = as_in_training(Conditioning({"caption": source.captions}), data)
    rows = conditions.of(range(20))["caption"]
    images = noise(20, 3, 16, 16)
    metric = ClipScore(extractor, ToldCaptions(source))
    evaluator = Evaluator(Pixels(3, 4), {"clip_score": metric})
    (store,) = evaluator.summarise([{"image": images, "caption": rows}]).values()
    words = extractor.text([source.captions.said(row) for row in rows])
    expected = 100 * torch.cosine_similarity(extractor(images), words).mean()
    assert metric.compute(store, 1.0)["clip_score"].value == pytest.approx(float(expected), rel=1e-4)
    with pytest.raises(ValueError, match="samples must have captions to be held against, got none"):
        evaluator.summarise([{"image": images}])
    with pytest.raises(ValueError, match="must be without clip_score for a model that is told no caption"):
        require_told(evaluator.metrics, {"label": None})


def test_clip_score_is_the_mean_cosine_of_images_and_their_captions(clip_folder):
    extractor, source = ClipFeatures(folder=clip_folder), Shapes(16)
    metric = ClipScore(extractor, ClassCaptions(source, "a {}"))
    images, label = noise(50, 3, 16, 16), torch.arange(50) % 2
    real = ImageSet("train", "x", 50, (3, 16, 16), lambda: [{"image": images, "label": label}])
    evaluator = Evaluator(Pixels(3, 4), {"clip_score": metric})
    reference = evaluator.reference(real)
    summary = evaluator.summarise([{"image": images.flip(0), "label": label.flip(0)}])
    (score,) = evaluator.scores(summary, reference, Generated(50, 0, "raw", "none")).values()
    found = score.value
    store = FeatureStore(8)
    store.update(extractor(images), torch.arange(50), label)
    features = store.features
    words = extractor.text(["a red circle", "a green circle"])[label]
    cosines = 100 * (features * words).sum(1) / features.norm(dim=1) / words.norm(dim=1)
    assert metric.compute(store, 1.0)["clip_score"].value == pytest.approx(float(cosines.mean()), rel=1e-5)
    assert found.value == pytest.approx(found.details["real"], rel=1e-5)
    assert len(found.draws) == 20
    assert score.protocol.settings == """ClipScore(captions="ClassCaptions(template='a {}')")"""
    assert score.protocol.key == f"clip_score/{extractor.name}@{extractor.digest[:8]}"


def test_clip_score_refuses_other_extractors_and_missing_labels(clip_folder):
    extractor = ClipFeatures(folder=clip_folder)
    with pytest.raises(ValueError, match="ClipScore needs the extractor ClipFeatures, got Pixels"):
        ClipScore(Pixels(3, 4), ClassCaptions(Shapes(16)))
    metric, store = ClipScore(extractor, ClassCaptions(Shapes(16))), FeatureStore(8)
    with pytest.raises(ValueError, match="ClipScore needs at least 1 image, got 0"):
        metric.prepare(store, extractor)
    store.update(torch.ones(3, 8), torch.arange(3))
    with pytest.raises(ValueError, match=r"captions from class names need labels in \[0, 24\), got -1"):
        metric.prepare(store, extractor)
