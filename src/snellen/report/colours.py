"""The colours of figures, sheets and animations; without matplotlib, which takes a third of a second to import."""

# Okabe and Ito's colour-blind-safe palette (Color Universal Design, 2008) without yellow, which white paper swallows.
BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY, BLACK = (
    *("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000"),
)
