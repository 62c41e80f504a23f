"""The kinds of tasks, a file for each or for two that differ in their input alone.

    ===========================================  ==========================  =====================
    kind                                         sequences of an example     logits of an example
    ===========================================  ==========================  =====================
    classification, pair_classification          a text, a pair or two       (1, labels)
    multi_label                                  a text                      (1, labels)
    regression, pair_regression                  a text, a pair or two       (1, 1)
    ranking                                      a pair for each document,   (documents, 1)
                                                 or query and each document
    tagging                                      the words as one text       (tokens, tags)
    question_answering                           windows of the context      (tokens of all, 2)
    multiple_choice                              a pair for each choice      (choices, 1)
    ===========================================  ==========================  =====================

``training.kinds.base.Kind`` says what each of them does.
"""
