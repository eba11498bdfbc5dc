"""The persistent compilation cache: the second start of a program skips its compilation."""

import os
from pathlib import Path


def enable_compilation_cache() -> Path:
    """Keeps compiled programs in the user's cache directory; for commands and experiments, never for timings.

    The directory is ``$XDG_CACHE_HOME/purejaxexplore/jax``, by default below ``~/.cache``. A directory that
    the user has already given to jax (``JAX_COMPILATION_CACHE_DIR``) is kept.

    Returns:
        The directory in use.
    """
    import jax

    if jax.config.jax_compilation_cache_dir:
        return Path(jax.config.jax_compilation_cache_dir)
    caches = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    directory = Path(caches) / "purejaxexplore" / "jax"
    jax.config.update("jax_compilation_cache_dir", str(directory))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
    return directory
