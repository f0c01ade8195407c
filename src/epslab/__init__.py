"""epslab: deep generative models, attacks on classifiers, and measurements of both that can be trusted.

The packages are the walk every experiment takes: data → net → likelihood → trained model → sample or attack →
metric → figure → page. Importing ``epslab`` alone loads nothing heavy; import the package you need.
"""

__version__ = "0.1.0"
