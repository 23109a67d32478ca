"""The loggers of a configuration."""

from omegaconf import DictConfig, OmegaConf

from genexp.config.monitor import value_directions
from genexp.runs.run_folder import RunFolder


def logger_nodes(config: DictConfig, folder: RunFolder) -> DictConfig:
    """The loggers of a configuration, with the folder, id and name of the run filled in."""
    nodes = (config.get("logger") or OmegaConf.create({})).copy()
    largest = [name for name, better in value_directions(config.get("metrics")).items() if better == "higher"]
    for node in nodes.values():
        if "largest" in node:
            node.largest = [*node.largest, *largest]
        for key, value in _told_by(folder).items():
            if key in node and node[key] is None:
                node[key] = value
        if "monitor" in node and node.monitor is None:
            node.monitor = config.training.monitor
        if "run_id" in node and node.get("name") is None:
            node.name = f"{folder.record['name']}-{folder.record['id']}"
    return nodes


def _told_by(folder: RunFolder) -> dict[str, str | None]:
    place, record = str(folder.path), folder.record
    return {"directory": place, "save_dir": place, "run_id": record["id"], "group": record.get("group")}
