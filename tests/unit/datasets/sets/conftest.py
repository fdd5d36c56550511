from pathlib import Path

import pytest

from tests.question_sets import write_lookalikes


@pytest.fixture(scope="session")
def copies(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a look-alike of every set."""
    import datasets

    datasets.config.HF_DATASETS_CACHE = tmp_path_factory.mktemp("datasets-cache")
    folder = tmp_path_factory.mktemp("copies")
    write_lookalikes(folder)
    return folder
