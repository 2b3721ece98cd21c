"""Pictures of optimizers: paths on surfaces, rates, bias correction, sweeps, memory.

    adamx.plotting.memory(adamx.memory_plan(tx, params))

Each function draws on the axes `ax=`, or on a new figure, and returns the figure. The
colours are those of Okabe and Ito, or go from dark to light, so that colour-blind
readers and those of a grey print see the same. The first picture imports Matplotlib
(extra `adamx[plot]`).
"""

from .bias_correction import bias_correction as bias_correction
from .clipped import clipped as clipped
from .contours import paths as paths, surface as surface
from .effective_rates import (
    effective_rates as effective_rates,
    layer_rates as layer_rates,
    rates_by_layer as rates_by_layer,
)
from .heat_map import heat_map as heat_map
from .histograms import histograms as histograms
from .images import pictures as pictures
from .lines import (
    GAP as GAP,
    apart as apart,
    curves as curves,
    line as line,
    name_lines as name_lines,
)
from .memory import memory as memory
from .style import (
    AXIS as AXIS,
    COLOURS as COLOURS,
    DASHES as DASHES,
    GRID as GRID,
    INK as INK,
    MARKERS as MARKERS,
    darker as darker,
    look as look,
    panels as panels,
    tidy as tidy,
)
from .surface_paths import (
    surface_animation as surface_animation,
    surface_paths as surface_paths,
    trajectory as trajectory,
)
from .surfaces import (
    SURFACES as SURFACES,
    Surface as Surface,
    beale as beale,
    himmelblau as himmelblau,
    ill_conditioned as ill_conditioned,
    rastrigin as rastrigin,
    rosenbrock as rosenbrock,
    saddle as saddle,
)
