"""The kinds of tasks, a file for each or for two that differ in their input alone.

    ===========================================  ==========================  ================  ==============
    kind                                         sequences of an example     logits            loss
    ===========================================  ==========================  ================  ==============
    classification, pair_classification          a text, a pair or two       (1, labels)       cross-entropy
    regression, pair_regression                  a text, a pair or two       (1, 1)            squared error
    ===========================================  ==========================  ================  ==============

``training.kinds.base.Kind`` says what each of them does.
"""
