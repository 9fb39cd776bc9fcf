"""Our own Lava processes. Lava's compiler executes every file of this folder: keep it to what it needs."""
