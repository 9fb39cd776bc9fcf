"""How a layer becomes integers: its scales, the rounding of its weights, and the choice by examples."""
