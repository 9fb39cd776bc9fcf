"""Many processes and many machines, over Dask: the same results as in one process, bit for bit.

`clusters` opens workers on this machine or finds those of a scheduler; `each` hands out pieces of work and
gives results as they come; `samples` spreads a run over its samples and joins the traces; `sweep` measures
one network at many settings; `lines` keeps what was measured in a file that can be gone on with.
"""
